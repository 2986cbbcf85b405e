# inside = 'the shell says all that it does'
# outcome = 'answered'
# evidence = '^here\n|\nhere\n'
# then = [{ tool = 'bash', command = 'set +xv; echo here' }]
set -xv
