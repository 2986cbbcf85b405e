# inside = 'processes until the kernel gives no more'
# outcome = 'answered'
# evidence = 'EAGAIN after [3-6]\d\n'
import errno, os, time
count = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        count += 1
except OSError as error:
    print(errno.errorcode[error.errno], "after", count)
os.kill(0, 15) if False else None
