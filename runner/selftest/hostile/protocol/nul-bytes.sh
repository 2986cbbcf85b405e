# inside = 'bytes that are zero'
# outcome = 'answered'
# evidence = 'a\\x00b'
printf 'a\000b'
