# id = "training-no-op"
# class = "timing"
# task = "slow_ml_training_complex"
# base = "baseline"
# tries = "submits the baseline as it is"
# caught_by = ["too_slow"]
