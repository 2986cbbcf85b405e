# inside = 'empty files without end'
# outcome = 'answered'
# evidence = 'ENOSPC after 1\d\d\d\n'
import errno, os
count = 0
try:
    while True:
        os.close(os.open("f%d" % count, os.O_CREAT | os.O_WRONLY))
        count += 1
except OSError as error:
    print(errno.errorcode[error.errno], "after", count)
