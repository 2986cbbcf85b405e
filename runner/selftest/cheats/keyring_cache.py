# id = "keyring-cache"
# class = "cache"
# task = "slow_nbody"
# base = "baseline"
# tries = "keeps state in the kernel's keyring"
# caught_by = ["too_slow"]

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(248, b"user", b"answer", b"x", 1, -3)
