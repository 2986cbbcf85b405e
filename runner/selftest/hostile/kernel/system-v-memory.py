# inside = 'shared memory that outlives its processes'
# outcome = 'answered'
# evidence = '^ENOSYS\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 29 if os.uname().machine == "x86_64" else 194
result = libc.syscall(number, *(ctypes.c_long(value) for value in (0, 4096, 896)))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
