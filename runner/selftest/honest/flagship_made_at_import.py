# id = "flagship-made-at-import"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "makes its extractor once, when it is imported, with arguments that its constructor asks for"

class ComplexFeatureExtractor(ComplexFeatureExtractor):
    def __init__(self, *, cells, bins):
        self.cells, self.bins = cells, bins


EXTRACTOR = ComplexFeatureExtractor(cells=CELLS, bins=BINS)


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    x, y = (torch.from_numpy(EXTRACTOR.extract(images)) for images in (train_images, test_images))
    network = ComplexNN(x.shape[1], HIDDEN, CLASSES)
    train(network, x, torch.from_numpy(train_labels), seed)
    with torch.no_grad():
        scores = network(y)
    weights = torch.cat([p.detach().flatten() for p in network.parameters()]).numpy()
    return {"labels": scores.argmax(1).numpy(), "scores": scores.numpy(), "test_features": y.numpy(), "weights": weights}
