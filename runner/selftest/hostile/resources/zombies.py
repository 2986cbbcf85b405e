# inside = 'children that nobody waits for'
# outcome = 'answered'
# evidence = 'EAGAIN'
import errno, os
try:
    while True:
        if os.fork() == 0:
            os._exit(0)
except OSError as error:
    print(errno.errorcode[error.errno])
