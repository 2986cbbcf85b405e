# id = "no-training"
# class = "labels"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "skips the training"
# caught_by = ["inaccurate"]

def train(network, features, labels, seed):
    return None
