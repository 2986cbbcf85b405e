# inside = "the shell's output closed for good"
# outcome = 'answered'
# evidence = 'seen'
# then = [{ tool = 'bash', command = 'echo seen' }]
exec >&- 2>&-
