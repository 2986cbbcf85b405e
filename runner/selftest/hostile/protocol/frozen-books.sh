# inside = "the names that the shell's loop uses made constant, and its built-ins switched off"
# outcome = 'answered'
# evidence = '^a fresh shell\n'
# then = [{ tool = 'bash', command = 'echo lost', timeout_s = 2.0 }, { tool = 'bash', command = 'echo a fresh shell' }]
readonly __command __token; enable -n builtin read printf eval exit
