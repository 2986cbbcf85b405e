# inside = 'descriptors until there are no more'
# outcome = 'answered'
# evidence = 'EMFILE after 10\d\d\n'
import errno, os
count = 0
try:
    while True:
        os.open("/dev/null", os.O_RDONLY)
        count += 1
except OSError as error:
    print(errno.errorcode[error.errno], "after", count)
