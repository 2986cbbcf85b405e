# inside = 'a child in a user namespace of its own'
# outcome = 'answered'
# evidence = '^EPERM\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 56 if os.uname().machine == "x86_64" else 220
result = libc.syscall(number, *(ctypes.c_long(value) for value in (268435473, 0, 0, 0, 0)))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
