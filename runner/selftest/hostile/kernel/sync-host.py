# inside = 'everything written out that the host has not written yet'
# outcome = 'answered'
# evidence = '^written out\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 162 if os.uname().machine == "x86_64" else 81
result = libc.syscall(number, *(ctypes.c_long(value) for value in ()))
print("written out" if result >= 0 else errno.errorcode[ctypes.get_errno()])
