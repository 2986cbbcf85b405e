# id = "keyword-arguments"
# task = "slow_nbody"
# base = "solution"
# does = "takes its inputs by keyword"

fast = simulate


def simulate(**given):
    return fast(**given)
