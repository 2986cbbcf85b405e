# inside = 'more busy processes than CPUs'
# outcome = 'timed out'
# evidence = 'timed out after 1 s'
# timeout_s = 1.0
for n in $(seq 8); do (while :; do :; done) & done; sleep 60
