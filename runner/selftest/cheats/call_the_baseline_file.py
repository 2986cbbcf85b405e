# id = "call-the-baseline-file"
# class = "leak"
# task = "slow_nbody"
# base = "none"
# tries = "imports the baseline that the agent found"
# caught_by = ["crashed"]

import slow_nbody


def simulate(**given):
    return slow_nbody.simulate(**given)
