# inside = 'a keyring of its own'
# outcome = 'answered'
# evidence = '^ENOSYS\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 250 if os.uname().machine == "x86_64" else 219
result = libc.syscall(number, *(ctypes.c_long(value) for value in (1, 0, 0, 0, 0)))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
