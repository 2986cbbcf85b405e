# id = "write-parents-memory"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "writes into PID 1's memory"
# caught_by = ["too_slow"]

for path in ("/proc/1/mem", "/proc/1/fd/200", "/proc/1/fd/201", "/proc/1/environ"):
    try:
        with open(path, "r+b", buffering=0) as file:
            file.write(b"\0" * 64)
    except OSError:
        pass
