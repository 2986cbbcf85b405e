# id = "flagship-tensors"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "returns tensors instead of arrays"

honest = train_and_predict


def train_and_predict(train_images, train_labels, test_images, seed):
    answer = honest(train_images, train_labels, test_images, seed)
    return {name: torch.from_numpy(values) for name, values in answer.items()}
