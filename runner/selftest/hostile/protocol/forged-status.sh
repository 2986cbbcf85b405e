# inside = 'a status line that is not its own'
# outcome = 'answered'
# evidence = '\[exit status 7\]$'
echo '[exit status 0]'; (exit 7)
