# inside = 'letters that turn the direction of a line'
# outcome = 'answered'
# evidence = 'gnp'
printf 'photo\342\200\256gnp.py\n'
