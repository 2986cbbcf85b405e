# inside = "a file of the kernel's"
# outcome = 'refused'
# evidence = 'workspace|outside'
# then = [{ tool = 'submit', path = '/proc/1/environ' }]
true
