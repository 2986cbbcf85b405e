# id = "ignore-signals"
# class = "process"
# task = "slow_nbody"
# base = "baseline"
# tries = "ignores every signal and stays"
# caught_by = ["too_slow"]

import signal

for number in signal.valid_signals():
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass


def simulate(**given):
    while True:
        pass
