# inside = 'a fork bomb in the shell, until the deadline'
# outcome = 'timed out'
# evidence = 'timed out after 1 s'
# timeout_s = 1.0
b() { b | b & }; b; sleep 60
