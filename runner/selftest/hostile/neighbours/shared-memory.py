# inside = 'a file in shared memory'
# outcome = 'answered'
# evidence = 'held'
# neighbour = '''
# import os
# print(os.listdir("/dev/shm"))
# '''
# sees = '^\[\]\n'
import os, time
open("/dev/shm/runner-selftest", "w").write("x")
print("held", flush=True)
if os.fork() == 0:
    for number in (0, 1, 2):
        os.close(number)
    time.sleep(20)
os._exit(0)
