# inside = 'no file at all'
# outcome = 'refused'
# evidence = 'no file|not there|No such'
# then = [{ tool = 'submit', path = 'it' }]
true
