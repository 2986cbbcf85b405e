# inside = "a link to the reader's own memory, submitted"
# outcome = 'refused'
# evidence = 'links are not followed'
# then = [{ tool = 'submit', path = 'it' }]
ln -s /proc/self/mem it
