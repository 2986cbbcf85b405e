# inside = 'output without end, in lines'
# outcome = 'timed out'
# evidence = 'bytes cut'
# timeout_s = 2.0
yes
