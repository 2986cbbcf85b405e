# inside = '/proc/1/fd/200 written'
# outcome = 'answered'
# evidence = '^E(ACCES|PERM|NOENT)\n'
import errno
try:
    with open("/proc/1/fd/200", "wb", buffering=0) as file:
        file.write(b"1000")
    print("done")
except OSError as error:
    print(errno.errorcode[error.errno])
