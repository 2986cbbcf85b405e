# id = "identity-cache"
# class = "cache"
# task = "slow_nbody"
# base = "baseline"
# tries = "remembers answers by the identity of the input"
# caught_by = ["too_slow"]

work, seen = simulate, {}


def simulate(**given):
    key = id(given["positions"])
    if key not in seen:
        seen[key] = work(**given)
    return seen[key]
