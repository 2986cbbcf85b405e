# inside = 'a system call that takes long'
# outcome = 'timed out'
# evidence = 'timed out after 1 s'
# timeout_s = 1.0
head -c 100G /dev/urandom >/dev/null
