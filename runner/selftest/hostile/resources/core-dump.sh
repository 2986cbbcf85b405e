# inside = 'a crash that would leave a core'
# outcome = 'answered'
# evidence = '\n0\n'
ulimit -c unlimited 2>/dev/null; bash -c 'kill -ABRT $$'; ls | grep -c core
