# inside = 'an image with a signal of its own to stop it, and an open port'
# outcome = 'answered'
# evidence = '^here\n'
# image = '''
# STOPSIGNAL SIGUSR1
# EXPOSE 22
# '''
echo here
