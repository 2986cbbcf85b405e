# inside = 'empty files without end in /dev/shm, each of which takes memory that outlives its process'
# outcome = 'answered'
# evidence = 'ENOSPC after 1\d\d\d\n'
import errno, os
count = 0
try:
    while count < 100_000:
        os.close(os.open("/dev/shm/f%d" % count, os.O_CREAT | os.O_WRONLY))
        count += 1
except OSError as error:
    print(errno.errorcode[error.errno], "after", count)
