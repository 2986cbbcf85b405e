# inside = 'bytes that are no UTF-8, and half of a letter'
# outcome = 'answered'
# evidence = 'x\\xff\\xc3'
printf 'x\377\303'
