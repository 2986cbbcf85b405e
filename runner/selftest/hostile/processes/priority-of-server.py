# inside = 'priority, schedule and CPUs of PID 1 changed'
# outcome = 'answered'
# evidence = '^EPERM EPERM EPERM\n'
import errno, os
said = []
for change in (
    lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
    lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
    lambda: os.sched_setaffinity(1, {min(os.sched_getaffinity(0))}),
):
    try:
        change()
        said.append("done")
    except OSError as error:
        said.append(errno.errorcode[error.errno])
print(*said)
