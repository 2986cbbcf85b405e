import os
import time

if os.fork():
    os._exit(0)
os.setsid()
time.sleep(5)
print("late")
