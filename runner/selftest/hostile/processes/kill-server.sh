# inside = 'KILL at PID 1'
# outcome = 'answered'
# evidence = 'killed in vain\n'
kill -9 1; echo killed in vain
