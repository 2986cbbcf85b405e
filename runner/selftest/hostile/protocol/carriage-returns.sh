# inside = 'a line that hides itself behind carriage returns'
# outcome = 'answered'
# evidence = 'no\\x0dyes|no\ryes'
printf 'no\ryes\n'
