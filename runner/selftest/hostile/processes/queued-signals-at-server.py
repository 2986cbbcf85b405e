# inside = 'hundreds of queued real-time signals at PID 1'
# outcome = 'answered'
# evidence = 'sent'
import os
for number in range(1000):
    try:
        os.kill(1, 34 + number % 30)
    except OSError:
        break
print("sent")
