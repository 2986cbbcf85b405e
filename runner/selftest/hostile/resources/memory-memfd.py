# inside = 'a file that is only memory'
# outcome = 'out of memory'
# evidence = 'killed for memory'
import os
file = os.memfd_create("hog")
while True:
    os.write(file, bytes(1 << 20))
