# inside = 'a path that leads out of the workspace'
# outcome = 'refused'
# evidence = 'workspace|outside'
# then = [{ tool = 'submit', path = '../etc/passwd' }]
true
