# inside = 'arguments of two MiB'
# outcome = 'answered'
# evidence = 'E2BIG'
import errno, os
try:
    os.execv("/bin/true", ["true", "x" * (2 << 20)])
except OSError as error:
    print(errno.errorcode[error.errno])
