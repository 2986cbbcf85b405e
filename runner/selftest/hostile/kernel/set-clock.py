# inside = "the host's clock set"
# outcome = 'answered'
# evidence = '^ENOSYS\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 227 if os.uname().machine == "x86_64" else 112
result = libc.syscall(number, *(ctypes.c_long(value) for value in (0, 0)))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
