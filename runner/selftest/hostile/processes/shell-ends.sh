# inside = 'the shell ended'
# outcome = 'shell ended'
# evidence = 'exit status 4; the shell ended'
exit 4
