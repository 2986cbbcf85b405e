# inside = '/proc/1/mem read'
# outcome = 'answered'
# evidence = '^E(ACCES|PERM|NOENT)\n'
import errno
try:
    with open("/proc/1/mem", "rb", buffering=0) as file:
        file.read(1)
    print("done")
except OSError as error:
    print(errno.errorcode[error.errno])
