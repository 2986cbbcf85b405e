# id = "native-clock"
# class = "timing"
# task = "slow_nbody"
# base = "baseline"
# tries = "overwrites the C library's clock in memory"
# caught_by = ["too_slow", "crashed"]

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
address = ctypes.cast(libc.clock_gettime, ctypes.c_void_p).value & ~4095
if libc.mprotect(ctypes.c_void_p(address), 8192, 7) == 0:
    ctypes.memset(ctypes.cast(libc.clock_gettime, ctypes.c_void_p).value, 0xC3, 1)
