# inside = 'a byte now and then, for ever'
# outcome = 'timed out'
# evidence = 'timed out after 1 s'
# timeout_s = 1.0
while :; do printf .; sleep 0.1; done
