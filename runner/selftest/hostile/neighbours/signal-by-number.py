# inside = 'KILL at every number that a neighbour may have, again and again'
# outcome = 'answered'
# evidence = '^held\n'
# neighbour = '''
# import time
# time.sleep(1)
# print("alive")
# '''
# sees = '^alive\n'
import os, signal, time


def above(number):
    with open("/proc/%d/stat" % number) as file:
        return int(file.read().rpartition(")")[2].split()[1])


own = [os.getpid()]  # and those by which the next command comes
while own[-1] > 1:
    own.append(above(own[-1]))
print("held", flush=True)
if os.fork() == 0:
    for number in (0, 1, 2):
        os.close(number)
    numbers = set(range(1, 5000)) - {*own, os.getpid()}
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for number in numbers:
            try:
                os.kill(number, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.05)
os._exit(0)
