# inside = 'a process that collects the orphans itself'
# outcome = 'timed out'
# evidence = 'timed out after 1 s'
# timeout_s = 1.0
import ctypes, os, signal, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
os.setpgid(0, 0)
if os.fork():
    while True:
        time.sleep(1)
time.sleep(60)
