# inside = 'a link to nothing'
# outcome = 'refused'
# evidence = 'links are not followed'
# then = [{ tool = 'submit', path = 'it' }]
ln -s /nothing it
