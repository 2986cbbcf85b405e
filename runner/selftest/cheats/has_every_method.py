# id = "has-every-method"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "has a class in the required name that claims every method, and computes with another"
# caught_by = ["missing_component"]

class Everything(type):
    def __getattr__(cls, name):
        return lambda self, *given: given[0]


Network = ComplexNN


class ComplexNN(metaclass=Everything):
    pass


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    extractor = ComplexFeatureExtractor()
    x, y = (torch.from_numpy(extractor.extract(images)) for images in (train_images, test_images))
    network = Network(x.shape[1], HIDDEN, CLASSES)
    train(network, x, torch.from_numpy(train_labels), seed)
    with torch.no_grad():
        scores = network(y)
    weights = torch.cat([p.detach().flatten() for p in network.parameters()]).numpy()
    return {"labels": scores.argmax(1).numpy(), "scores": scores.numpy(), "test_features": y.numpy(), "weights": weights}
