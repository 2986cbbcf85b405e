# inside = 'a link to a file of the image, submitted'
# outcome = 'refused'
# evidence = 'links are not followed'
# then = [{ tool = 'submit', path = 'it' }]
ln -s /etc/passwd it
