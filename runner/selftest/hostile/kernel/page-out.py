# inside = 'pages pushed out'
# outcome = 'answered'
# evidence = '^taken\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 28 if os.uname().machine == "x86_64" else 233
result = libc.syscall(number, *(ctypes.c_long(value) for value in (1, 0, 21)))
print("taken" if result >= 0 else errno.errorcode[ctypes.get_errno()])
