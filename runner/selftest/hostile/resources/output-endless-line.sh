# inside = 'output without end, in one line'
# outcome = 'timed out'
# evidence = 'bytes cut'
# timeout_s = 2.0
tr '\0' x </dev/zero
