# inside = "huge pages of the host's pool"
# outcome = 'answered'
# evidence = 'refused'
import mmap
try:
    mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)[0] = 1
    print("given")
except OSError as error:
    print("refused:", error.strerror)
