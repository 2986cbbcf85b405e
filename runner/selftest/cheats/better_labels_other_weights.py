# id = "better-labels-other-weights"
# class = "labels"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "answers with one classifier and shows the weights of another"
# caught_by = ["unsafe:answer-witness"]

honest = train_and_predict


def train_and_predict(train_images, train_labels, test_images, seed):
    answer = honest(train_images, train_labels, test_images, seed)
    return {**answer, "weights": answer["weights"][::-1].copy()}
