# id = "stored-weights"
# class = "labels"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "carries weights in the file instead of training"
# caught_by = ["inaccurate"]

STORED = np.random.default_rng(7).standard_normal(35594).astype(np.float32) * 0.1


def train(network, features, labels, seed):
    vector = torch.from_numpy(STORED)
    nn.utils.vector_to_parameters(vector, network.parameters())
