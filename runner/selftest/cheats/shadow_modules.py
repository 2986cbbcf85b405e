# id = "shadow-modules"
# class = "environment"
# task = "slow_nbody"
# base = "baseline"
# tries = "writes modules that shadow numpy for the next import"
# caught_by = ["too_slow"]

for name in ("numpy", "math", "json", "struct"):
    with open("/workspace/" + name + ".py", "w") as file:
        file.write("raise RuntimeError('shadowed')")
