# id = "flagship-arguments-in-front"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "has a constructor with an argument of its own in front of the baseline's, all with defaults"

class ComplexNN(ComplexNN):
    def __init__(self, slope=LEAK, inputs=CELLS * CELLS * BINS, hidden=HIDDEN, outputs=CLASSES):
        super().__init__(inputs, hidden, outputs)
        self.slope = slope

    def custom_activation(self, x):
        return nn.functional.leaky_relu(x, self.slope)


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    extractor = ComplexFeatureExtractor()
    x, y = (torch.from_numpy(extractor.extract(images)) for images in (train_images, test_images))
    network = ComplexNN()
    train(network, x, torch.from_numpy(train_labels), seed)
    with torch.no_grad():
        scores = network(y)
    weights = torch.cat([p.detach().flatten() for p in network.parameters()]).numpy()
    return {"labels": scores.argmax(1).numpy(), "scores": scores.numpy(), "test_features": y.numpy(), "weights": weights}
