# inside = "a file's own pages in a pipe"
# outcome = 'answered'
# evidence = '^EINVAL\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 275 if os.uname().machine == "x86_64" else 76
result = libc.syscall(number, *(ctypes.c_long(value) for value in (0, 0, 1, 0, 4096, 0)))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
