# inside = "escapes that would move a terminal's cursor and set its title"
# outcome = 'answered'
# evidence = '^\\x1b\]0;title\\x07\\x1b\[2J\\x1b\[H'
printf '\033]0;title\007\033[2J\033[H'
