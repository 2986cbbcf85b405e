# inside = 'every signal ignored'
# outcome = 'timed out'
# evidence = 'timed out after 1 s'
# timeout_s = 1.0
trap '' $(seq 1 31) 2>/dev/null; while :; do sleep 1; done
