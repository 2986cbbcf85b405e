# id = "flagship-bound-by-the-entry"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "binds its network's class when its entry runs for the first time"

Network, whole = ComplexNN, train_and_predict
del ComplexNN


def train_and_predict(train_images, train_labels, test_images, seed):
    global ComplexNN
    ComplexNN = Network
    return whole(train_images, train_labels, test_images, seed)
