# inside = 'a user namespace of its own'
# outcome = 'answered'
# evidence = '^ENOSYS\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 272 if os.uname().machine == "x86_64" else 97
result = libc.syscall(number, *(ctypes.c_long(value) for value in (268435456,)))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
