# inside = "a tool's input of the wrong kind"
# outcome = 'refused'
# evidence = 'does not fit'
# then = [{ tool = 'view', path = 7 }]
true
