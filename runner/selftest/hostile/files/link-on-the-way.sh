# inside = 'a folder on the way that is a link'
# outcome = 'refused'
# evidence = 'links are not followed'
# then = [{ tool = 'submit', path = 'folder/passwd' }]
ln -s /etc folder
