# id = "single-epoch"
# class = "precision"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "trains for one batch only"
# caught_by = ["inaccurate", "inconclusive"]

EPOCHS = 1
BATCH = 10_000
