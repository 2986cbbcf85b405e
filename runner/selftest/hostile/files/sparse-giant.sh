# inside = 'a file of 32 GiB that takes no space'
# outcome = 'refused'
# evidence = 'bytes|large'
# then = [{ tool = 'submit', path = 'it' }]
truncate -s 32G it
