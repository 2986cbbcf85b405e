# inside = 'a name with a quote, a space and a newline in it'
# outcome = 'submitted'
# evidence = 'submitted'
# then = [{ tool = 'submit', path = "a \"b\n" }]
printf 'x = 1\n' > $'a \"b\n'
