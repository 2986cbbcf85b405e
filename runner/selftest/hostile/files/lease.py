# inside = 'a lease on a file, so that whoever opens it waits'
# outcome = 'answered'
# evidence = 'created'
# timeout_s = 5.0
# then = [{ tool = 'view', path = 'it' }, { tool = 'create', path = 'it', file_text = 'x' }, { tool = 'bash', command = 'cat it; echo created', timeout_s = 5.0 }]
import fcntl, os, signal, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
with open("it", "w") as file:
    file.write("text")
    file.flush()
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    if os.fork() == 0:
        for number in (0, 1, 2):
            os.close(number)
        time.sleep(20)
        os._exit(0)
    os._exit(0)
