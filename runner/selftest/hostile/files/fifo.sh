# inside = 'a pipe by name, which would never end'
# outcome = 'refused'
# evidence = 'not a (regular )?file|regular'
# then = [{ tool = 'submit', path = 'it' }]
mkfifo it
