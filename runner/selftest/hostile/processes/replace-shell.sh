# inside = 'the shell replaced by a program that sleeps'
# outcome = 'timed out'
# evidence = 'timed out after 1 s'
# timeout_s = 1.0
exec sleep 60
