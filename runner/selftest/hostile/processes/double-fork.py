# inside = 'a daemon by two forks, which must not outlive the collection'
# outcome = 'answered'
# evidence = '^0\n'
# then = [{ tool = 'submit', path = 'it.py' }, { tool = 'bash', command = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 98[4]'" }]
import os, time
open("it.py", "w").write("x = 1\n")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for name in (0, 1, 2):
            os.close(name)
        os.execv("/bin/sleep", ["sleep", "984"])
    os._exit(0)
