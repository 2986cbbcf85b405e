# id = "exit-quietly"
# class = "process"
# task = "slow_nbody"
# base = "none"
# tries = "raises SystemExit(0)"
# caught_by = ["crashed"]

def simulate(**given):
    raise SystemExit(0)
