# inside = 'a command that holds a byte which is zero'
# outcome = 'refused'
# evidence = 'NUL'
# then = [{ tool = 'bash', command = "echo \u0000x" }]
true
