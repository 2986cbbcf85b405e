# inside = 'a signal to PID 1 by a descriptor of it'
# outcome = 'answered'
# evidence = 'sent|E(PERM|NOSYS)'
import errno, os, signal
try:
    signal.pidfd_send_signal(os.pidfd_open(1), signal.SIGKILL)
    print("sent")
except OSError as error:
    print(errno.errorcode[error.errno])
