# inside = 'a file that its owner may not read'
# outcome = 'refused'
# evidence = '[Pp]ermission|submitted'
# then = [{ tool = 'submit', path = 'it' }]
echo x > it; chmod 000 it
