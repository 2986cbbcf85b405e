# id = "ptrace-parent"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "attaches to PID 1 as a debugger"
# caught_by = ["too_slow"]

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
for request in (16, 0x4206):
    libc.ptrace(request, 1, 0, 0)
