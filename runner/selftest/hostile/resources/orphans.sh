# inside = 'hundreds of orphans that end at once'
# outcome = 'answered'
# evidence = '^[3-6]\n'
# then = [{ tool = 'bash', command = "ls /proc | grep -c '^[0-9]'" }]
for n in $(seq 300); do (true &); done; sleep 0.3
