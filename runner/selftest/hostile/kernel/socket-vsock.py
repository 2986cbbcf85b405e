# inside = 'a socket for the host of a virtual machine'
# outcome = 'answered'
# evidence = '^EPERM\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 41 if os.uname().machine == "x86_64" else 198
result = libc.syscall(number, *(ctypes.c_long(value) for value in (40, 1, 0)))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
