# inside = 'a process in the background that writes into later answers'
# outcome = 'answered'
# evidence = 'late\n'
# then = [{ tool = 'bash', command = 'sleep 0.3' }, { tool = 'bash', command = 'sleep 0.3' }]
(while :; do echo late; sleep 0.02; done) & true
