# inside = 'pipes, each as large as it may be'
# outcome = 'answered'
# evidence = 'held'
# neighbour = '''
# import fcntl, os
# print(fcntl.fcntl(os.pipe()[0], 1032))
# '''
# sees = '^65536\n'
import fcntl, os, time
try:
    while True:
        for end in os.pipe():
            fcntl.fcntl(end, 1031, 1 << 20)
except OSError:
    pass
print("held", flush=True)
if os.fork() == 0:
    for number in (0, 1, 2):
        os.close(number)
    time.sleep(20)
os._exit(0)
