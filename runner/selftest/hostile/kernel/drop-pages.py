# inside = 'pages dropped that all containers share'
# outcome = 'answered'
# evidence = '^taken\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 221 if os.uname().machine == "x86_64" else 223
result = libc.syscall(number, *(ctypes.c_long(value) for value in (-1, 0, 0, 4)))
print("taken" if result >= 0 else errno.errorcode[ctypes.get_errno()])
