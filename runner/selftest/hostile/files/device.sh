# inside = "a device made in the file's place"
# outcome = 'refused'
# evidence = 'no file|not there|No such|regular'
# then = [{ tool = 'submit', path = 'it' }]
mknod it c 1 3 2>&1; true
