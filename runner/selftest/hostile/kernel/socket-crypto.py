# inside = "a socket for the kernel's own ciphers (CVE-2026-31431)"
# outcome = 'answered'
# evidence = '^EPERM\n'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = 41 if os.uname().machine == "x86_64" else 198
result = libc.syscall(number, *(ctypes.c_long(value) for value in (38, 5, 0)))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
