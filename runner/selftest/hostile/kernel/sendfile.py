# inside = "a file's own pages sent"
# outcome = 'answered'
# evidence = '^EINVAL\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 40 if os.uname().machine == "x86_64" else 71
result = libc.syscall(number, *(ctypes.c_long(value) for value in (1, 0, 0, 4096)))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
