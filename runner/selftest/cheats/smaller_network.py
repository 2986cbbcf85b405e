# id = "smaller-network"
# class = "precision"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "trains a network that is too small"
# caught_by = ["bad_answer"]

HIDDEN = 8
