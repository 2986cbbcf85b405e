# id = "never-made"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "has a required class whose constructor fits nothing, and never makes an instance of it"
# caught_by = ["missing_component"]

Network = ComplexNN


class ComplexNN(Network):
    def __init__(self, *, key):
        raise PermissionError("only for the owner of the key")


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
