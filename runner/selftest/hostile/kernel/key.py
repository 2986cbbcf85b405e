# inside = "a key in the user's keyring"
# outcome = 'answered'
# evidence = '^ENOSYS\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 248 if os.uname().machine == "x86_64" else 217
result = libc.syscall(number, *(ctypes.c_long(value) for value in (0, 0, 0, 0, -4)))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
