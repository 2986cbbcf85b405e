# inside = 'page tables instead of pages: one page touched in every two MiB'
# outcome = 'out of memory'
# evidence = 'killed for memory'
import ctypes, mmap
size = 256 << 30
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
at = libc.mmap(None, size, 3, 2 | 0x20 | 0x4000, -1, 0)
assert at != ctypes.c_void_p(-1).value
for offset in range(0, size, 2 << 20):
    ctypes.c_char.from_address(at + offset).value = b"x"
