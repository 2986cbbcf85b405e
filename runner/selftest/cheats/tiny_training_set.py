# id = "tiny-training-set"
# class = "labels"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "trains on twenty images"
# caught_by = ["inaccurate", "inconclusive"]

honest = train_and_predict


def train_and_predict(train_images, train_labels, test_images, seed):
    return honest(train_images[:20], train_labels[:20], test_images, seed)
