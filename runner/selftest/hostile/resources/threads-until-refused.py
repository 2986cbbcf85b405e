# inside = 'threads until the kernel gives no more'
# outcome = 'answered'
# evidence = 'no more after [3-6]\d\n'
import threading, time
count = 0
try:
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        count += 1
except RuntimeError:
    print("no more after", count, flush=True)
