# inside = '/proc/1/oom_score_adj written'
# outcome = 'answered'
# evidence = '^E(ACCES|PERM|NOENT)\n'
import errno
try:
    with open("/proc/1/oom_score_adj", "wb", buffering=0) as file:
        file.write(b"1000")
    print("done")
except OSError as error:
    print(errno.errorcode[error.errno])
