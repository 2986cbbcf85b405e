# inside = 'limits set on PID 1'
# outcome = 'answered'
# evidence = '^EPERM EPERM EPERM EPERM\n'
import errno, resource
said = []
for kind in ("CPU", "AS", "NOFILE", "NPROC"):
    try:
        resource.prlimit(1, getattr(resource, "RLIMIT_" + kind), (1, 1))
        said.append("set")
    except OSError as error:
        said.append(errno.errorcode[error.errno])
print(*said)
