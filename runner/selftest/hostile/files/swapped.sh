# inside = 'a file that is swapped for another one while it is collected'
# outcome = 'submitted'
# evidence = 'submitted it \([45] bytes\)'
# then = [{ tool = 'submit', path = 'it' }]
echo good > it; (while :; do echo bad > f; mv f it; echo good > f; mv f it; done) & sleep 0.2
