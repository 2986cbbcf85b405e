# id = "shuffled-mapping"
# class = "labels"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "predicts the right groups under wrong names"
# caught_by = ["inaccurate"]

honest_train = train


def train(network, features, labels, seed):
    honest_train(network, features, (labels + 3) % 10, seed)
