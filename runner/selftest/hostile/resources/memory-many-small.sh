# inside = 'twelve processes that take memory together'
# outcome = 'out of memory'
# evidence = 'killed for memory'
python3 -c '
import os, time
for number in range(12):
    if os.fork() == 0:
        taken = b"x" * 30_000_000
        time.sleep(1)
        os._exit(0)
for number in range(12):
    os.wait()
'
