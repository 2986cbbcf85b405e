# id = "dies-slowly"
# class = "process"
# task = "slow_nbody"
# base = "solution"
# tries = "leaves processes that hold a hundred thousand descriptors beside thousands of locks, so that their end takes seconds of the next sample"
# caught_by = ["unsafe:ends-when-killed", "too_slow"]

import fcntl
import os
import signal

HOLDERS, OWNERS, LOCKS, DESCRIPTORS = 100, 8, 1000, 1000
quick = simulate


def simulate(positions, velocities, masses, steps):
    path = "/tmp/locks"
    open(path, "wb").close()
    ready, say = os.pipe()
    for number in range(OWNERS + HOLDERS):
        if os.fork() == 0:
            held = os.open(path, os.O_RDWR)
            for lock in range(LOCKS if number < OWNERS else 0):
                fcntl.lockf(held, fcntl.LOCK_EX, 1, 2 * (number * LOCKS + lock))
            for _ in range(DESCRIPTORS):  # each one that is closed at the end looks through all locks
                os.dup(held)
            if number < OWNERS:
                os.nice(19)  # the locks go last
            os.write(say, b".")
            signal.pause()
    count = 0
    while count < OWNERS + HOLDERS:
        count += len(os.read(ready, 4096))
    return quick(positions, velocities, masses, steps)
