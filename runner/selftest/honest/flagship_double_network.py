# id = "flagship-double-network"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "has a network in float64, which takes nothing narrower"

class ComplexNN(ComplexNN):
    def __init__(self, inputs, hidden, outputs):
        super().__init__(inputs, hidden, outputs)
        self.double()


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    extractor = ComplexFeatureExtractor()
    x, y = (torch.from_numpy(extractor.extract(images)).double() for images in (train_images, test_images))
    network = ComplexNN(x.shape[1], HIDDEN, CLASSES)
    train(network, x, torch.from_numpy(train_labels), seed)
    with torch.no_grad():
        scores = network(y)
    return {
        "labels": scores.argmax(dim=1).numpy(),
        "scores": scores.float().numpy(),
        "test_features": y.float().numpy(),
        "weights": torch.cat([p.detach().flatten() for p in network.parameters()]).float().numpy(),
    }
