# inside = 'STOP at PID 1'
# outcome = 'answered'
# evidence = 'stopped in vain\n'
kill -STOP 1; echo stopped in vain
