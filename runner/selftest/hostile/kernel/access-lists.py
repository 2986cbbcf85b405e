# inside = 'lists of who may reach a file, of which the kernel keeps 128 KiB for each file beside every limit'
# outcome = 'answered'
# evidence = '^refused: Operation not supported\n'
import os, struct
others = [struct.pack("<HHI", 2, 7, user) for user in range(8000)]
plain = [struct.pack("<HHI", tag, 7, 2**32 - 1) for tag in (1, 4, 16, 32)]
rights = struct.pack("<I", 2) + b"".join([plain[0], *others, *plain[1:]])
open("file", "w").close()
try:
    os.setxattr("file", "system.posix_acl_access", rights)
    print("kept")
except OSError as error:
    print("refused:", error.strerror)
