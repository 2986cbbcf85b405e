# inside = 'a megabyte of noise'
# outcome = 'answered'
# evidence = '(?s)\\x[0-9a-f]{2}.* characters cut.*\[exit status 0\]$'
head -c 1000000 /dev/urandom
