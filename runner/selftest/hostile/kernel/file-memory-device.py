# inside = '/dev/mem read and written'
# outcome = 'answered'
# evidence = '^(E\w+|\d+) E\w+\n'
import errno, os
said = []
for how in (os.O_RDONLY, os.O_WRONLY):
    try:
        file = os.open("/dev/mem", how | os.O_NONBLOCK)
        said.append(len(os.read(file, 4)) if how == os.O_RDONLY else "done")
    except OSError as error:
        said.append(errno.errorcode[error.errno])
print(*said)
