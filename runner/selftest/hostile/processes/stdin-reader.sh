# inside = 'a command that reads what nobody gives'
# outcome = 'answered'
# evidence = 'nothing to read\n\[exit status 0\]'
cat; read -r x <&3; echo nothing to read
