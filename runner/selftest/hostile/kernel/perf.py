# inside = 'counters of the processor'
# outcome = 'answered'
# evidence = '^ENOSYS\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 298 if os.uname().machine == "x86_64" else 241
result = libc.syscall(number, *(ctypes.c_long(value) for value in (0, 0, -1, -1, 0)))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
