# inside = 'a file of a TiB that takes no space'
# outcome = 'refused'
# evidence = 'bytes|large'
# then = [{ tool = 'submit', path = 'it' }]
truncate -s 1T it
