# inside = 'output without end, on the error stream'
# outcome = 'timed out'
# evidence = 'bytes cut'
# timeout_s = 1.5
yes >&2
