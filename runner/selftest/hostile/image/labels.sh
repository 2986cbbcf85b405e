# inside = 'an image with labels that look like ours'
# outcome = 'answered'
# evidence = '^here\n'
# image = '''
# LABEL runner=sandbox runner.job=another runner.role=slot
# '''
echo here
