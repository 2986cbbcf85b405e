# inside = 'pseudo-terminals, which a host has a pool of'
# outcome = 'answered'
# evidence = 'held'
# neighbour = '''
# import os
# try:
#     print("a terminal", os.openpty())
# except OSError:
#     print("no terminal is made in any sandbox")
# '''
# sees = '^no terminal is made in any sandbox\n'
import os, time
made = []
try:
    while True:
        made.append(os.openpty())
except OSError:
    pass
print("held" if not made else f"{len(made)} terminals", flush=True)
if os.fork() == 0:
    for number in (0, 1, 2):
        os.close(number)
    time.sleep(20)
os._exit(0)
