# inside = 'the shell replaced by a program that is not there'
# outcome = 'shell ended'
# evidence = 'the shell ended'
exec /nonexistent/program
