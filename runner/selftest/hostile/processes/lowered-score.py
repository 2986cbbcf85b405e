# inside = 'memory taken by many small processes that the kernel is to end after PID 1'
# outcome = 'out of memory'
# evidence = 'killed for memory'
import os
try:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")
except OSError:
    pass
have, has = os.pipe()  # at its end once each process has its memory, or is no more
go, on = os.pipe()
for number in range(40):
    if os.fork() == 0:
        os.close(on)
        taken = b"x" * 6_000_000  # less than PID 1 has
        os.close(has)
        os.read(go, 1)
        os._exit(0)
os.close(has)
os.read(have, 1)
os.close(on)
for number in range(40):
    os.wait()
