# id = "write-own-memory"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "patches read-only pages of its own process"
# caught_by = ["too_slow"]

import ctypes

target = ctypes.create_string_buffer(b"unpatched")
with open("/proc/self/mem", "r+b", buffering=0) as file:
    file.seek(ctypes.addressof(target))
    file.write(b"patched!!")
