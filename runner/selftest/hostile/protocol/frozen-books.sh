# inside = "the names that the shell's script uses made constant, and its built-ins switched off"
# outcome = 'answered'
# evidence = '^a fresh shell\n'
# then = [{ tool = 'bash', command = 'echo lost', timeout_s = 2.0 }, { tool = 'bash', command = 'echo a fresh shell' }]
readonly LINENO PIPESTATUS; enable -n builtin read printf eval exit
