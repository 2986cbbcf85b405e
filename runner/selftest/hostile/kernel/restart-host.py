# inside = 'the host restarted'
# outcome = 'answered'
# evidence = '^ENOSYS\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 169 if os.uname().machine == "x86_64" else 142
result = libc.syscall(number, *(ctypes.c_long(value) for value in (4276215469, 672274793, 19088743, 0)))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
