# inside = 'a system call by the numbers of another architecture'
# outcome = 'answered'
# evidence = '^-38\n'
import ctypes, mmap, os, sys
if os.uname().machine != "x86_64":
    sys.exit(print(-38))
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("53b8fa000000bbffffffff31c931d2be04000000cd805bc3"))
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())
