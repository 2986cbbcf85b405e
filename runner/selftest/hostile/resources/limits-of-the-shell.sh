# inside = "the shell's own limits set so low that it can neither open nor start anything"
# outcome = 'answered'
# evidence = '^a fresh shell\n'
# then = [{ tool = 'bash', command = 'exec /bin/true' }, { tool = 'bash', command = 'echo a fresh shell' }]
ulimit -n 6; ulimit -u 1; ulimit -v 1; ulimit -f 0
