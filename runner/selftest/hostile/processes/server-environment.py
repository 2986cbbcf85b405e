# inside = '/proc/1/environ read'
# outcome = 'answered'
# evidence = '^E(ACCES|PERM|NOENT)\n'
import errno
try:
    with open("/proc/1/environ", "rb", buffering=0) as file:
        file.read(1)
    print("done")
except OSError as error:
    print(errno.errorcode[error.errno])
