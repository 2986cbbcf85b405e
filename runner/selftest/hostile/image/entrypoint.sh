# inside = 'an image that starts a program of its own'
# outcome = 'answered'
# evidence = '^here\n'
# image = '''
# ENTRYPOINT ["/bin/false"]
# CMD ["--never"]
# '''
echo here
