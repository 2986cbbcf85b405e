# inside = 'KILL at every process that it can reach'
# outcome = 'answered'
# evidence = 'gone\n\[exit status 0\]'
# timeout_s = 5.0
sleep 60 & kill -9 -1; wait; echo gone
