# inside = 'its own shell stopped'
# outcome = 'timed out'
# evidence = 'timed out after 1 s'
# timeout_s = 1.0
kill -STOP $$
