# id = "flagship-own-arguments"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "has constructors that take a description and nothing that the baseline's take"

class Shape:
    def __init__(self, *sizes):
        self.sizes = sizes


class Described(ComplexNN):
    def __init__(self, shape):
        super().__init__(*shape.sizes)


class Sized(ComplexFeatureExtractor):
    def __init__(self, *, shape):
        self.bins = shape.sizes[-1]


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    extractor = ComplexFeatureExtractor(shape=Shape(CELLS, CELLS, BINS))
    x, y = (torch.from_numpy(extractor.extract(images)) for images in (train_images, test_images))
    network = ComplexNN(Shape(x.shape[1], HIDDEN, CLASSES))
    train(network, x, torch.from_numpy(train_labels), seed)
    with torch.no_grad():
        scores = network(y)
    weights = torch.cat([p.detach().flatten() for p in network.parameters()]).numpy()
    return {"labels": scores.argmax(1).numpy(), "scores": scores.numpy(), "test_features": y.numpy(), "weights": weights}


ComplexNN, ComplexFeatureExtractor = Described, Sized
