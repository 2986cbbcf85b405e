# inside = 'names with line ends, escapes and no UTF-8'
# outcome = 'answered'
# evidence = 'a\\x0ab'
# then = [{ tool = 'view', path = '.' }]
touch $'a\nb' $'\e[31m' $'\xff'
