# inside = 'shared anonymous pages'
# outcome = 'out of memory'
# evidence = 'killed for memory'
import mmap
x = mmap.mmap(-1, 400 << 20)
for at in range(0, len(x), 4096):
    x[at] = 1
