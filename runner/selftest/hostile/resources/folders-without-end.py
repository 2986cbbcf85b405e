# inside = 'folders in folders, deeper than any path may be long'
# outcome = 'answered'
# evidence = 'deep \d{3,}'
import os
count = 0
try:
    while count < 1500:
        os.mkdir("d" * 100)
        os.chdir("d" * 100)
        count += 1
except OSError:
    pass
print("deep", count)
