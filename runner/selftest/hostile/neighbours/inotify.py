# inside = 'every watch that a user may have'
# outcome = 'answered'
# evidence = 'held'
# neighbour = '''
# import ctypes
# print("watch" if ctypes.CDLL(None).inotify_init() >= 0 else "none")
# '''
# sees = '^watch\n'
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
while libc.inotify_init() >= 0:
    pass
print("held", flush=True)
if os.fork() == 0:
    for number in (0, 1, 2):
        os.close(number)
    time.sleep(20)
os._exit(0)
