# inside = 'a file one byte over the limit'
# outcome = 'refused'
# evidence = '1024|large'
# then = [{ tool = 'submit', path = 'it' }]
head -c 1025 /dev/zero > it
