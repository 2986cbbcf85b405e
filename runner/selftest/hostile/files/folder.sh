# inside = "a folder in the file's place"
# outcome = 'refused'
# evidence = 'folder|regular'
# then = [{ tool = 'submit', path = 'it' }]
mkdir it
