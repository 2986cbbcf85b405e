# inside = 'a tool that is not there'
# outcome = 'refused'
# evidence = 'there is no tool'
# then = [{ tool = 'fly' }]
true
