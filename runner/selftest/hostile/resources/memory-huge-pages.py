# inside = "huge pages of the host's pool, which no limit counts, as memory and as a file"
# outcome = 'answered'
# evidence = '^EPERM EPERM\n'
import errno, mmap, os
said = []
for take in (
    lambda: mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000),
    lambda: os.memfd_create("hog", 4),
):
    try:
        take()
        said.append("given")
    except OSError as error:
        said.append(errno.errorcode[error.errno])
print(*said)
