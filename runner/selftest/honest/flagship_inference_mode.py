# id = "flagship-inference-mode"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "predicts in inference mode and returns contiguous copies"

honest = train_and_predict


def train_and_predict(train_images, train_labels, test_images, seed):
    with torch.inference_mode(False):
        answer = honest(train_images, train_labels, test_images, seed)
    return {name: np.ascontiguousarray(values) for name, values in answer.items()}
