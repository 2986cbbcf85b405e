# inside = 'a file that grows while it is collected'
# outcome = 'submitted'
# evidence = 'submitted'
# then = [{ tool = 'submit', path = 'it' }]
echo x > it; (while :; do echo x >> it; sleep 0.01; done) & sleep 0.05
