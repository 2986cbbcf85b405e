# id = "torch-threads"
# class = "timing"
# task = "slow_ml_training_complex"
# base = "baseline"
# tries = "asks torch for more threads"
# caught_by = ["too_slow"]

torch.set_num_threads(16)
