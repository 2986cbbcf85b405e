# inside = 'signals to every number that a neighbour may have'
# outcome = 'answered'
# evidence = 'held'
# neighbour = '''
# print("alive")
# '''
# sees = '^alive\n'
import os, time
for number in [*range(2, os.getpid()), *range(os.getpid() + 1, 5000)]:
    try:
        os.kill(number, 0)
    except OSError:
        pass
print("held", flush=True)
if os.fork() == 0:
    for number in (0, 1, 2):
        os.close(number)
    time.sleep(20)
os._exit(0)
