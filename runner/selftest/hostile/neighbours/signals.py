# inside = 'signals that wait, which are counted for each user'
# outcome = 'answered'
# evidence = 'held'
# neighbour = '''
# import ctypes, os, signal
# signal.pthread_sigmask(signal.SIG_BLOCK, {40})
# libc = ctypes.CDLL(None)
# print(sum(libc.sigqueue(os.getpid(), 40, ctypes.c_void_p(0)) == 0 for number in range(300)))
# '''
# sees = '^300\n'
import ctypes, os, signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, {40})
libc = ctypes.CDLL(None)
while libc.sigqueue(os.getpid(), 40, ctypes.c_void_p(0)) == 0:
    pass
print("held", flush=True)
if os.fork() == 0:
    for number in (0, 1, 2):
        os.close(number)
    time.sleep(20)
os._exit(0)
