# id = "content-cache"
# class = "cache"
# task = "slow_nbody"
# base = "baseline"
# tries = "remembers answers by the input's bytes"
# caught_by = ["too_slow"]

work, seen = simulate, {}


def simulate(**given):
    key = given["positions"].tobytes()
    if key not in seen:
        seen[key] = work(**given)
    return seen[key]
