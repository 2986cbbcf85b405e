# id = "memory-bomb"
# class = "process"
# task = "slow_nbody"
# base = "none"
# tries = "takes all memory"
# caught_by = ["out_of_memory"]

def simulate(**given):
    held = []
    while True:
        held.append(bytearray(1 << 24))
