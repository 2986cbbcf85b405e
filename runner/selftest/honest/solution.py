# id = "solution"
# task = "slow_nbody"
# base = "solution"
# does = "the task's own solution"
