# id = "flagship-solution"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "the task's own solution"
