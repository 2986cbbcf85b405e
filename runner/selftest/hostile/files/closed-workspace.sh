# inside = 'a workspace that nobody may enter, and no shell'
# outcome = 'answered'
# evidence = '^still here\n'
# then = [{ tool = 'bash', command = 'chmod 700 /workspace; echo still here' }]
chmod 000 /workspace; kill -9 $$
