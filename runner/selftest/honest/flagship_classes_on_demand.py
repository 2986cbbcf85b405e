# id = "flagship-classes-on-demand"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "has its classes in a namespace, from which the module hands them out when it is asked for them"

import types

Parts = types.SimpleNamespace(ComplexFeatureExtractor=ComplexFeatureExtractor, ComplexNN=ComplexNN)
del ComplexFeatureExtractor, ComplexNN


def __getattr__(name):
    try:
        return getattr(Parts, name)
    except AttributeError:
        raise AttributeError(name) from None


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    x, y = (torch.from_numpy(Parts.ComplexFeatureExtractor().extract(images)) for images in (train_images, test_images))
    network = Parts.ComplexNN(x.shape[1], HIDDEN, CLASSES)
    train(network, x, torch.from_numpy(train_labels), seed)
    with torch.no_grad():
        scores = network(y)
    weights = torch.cat([p.detach().flatten() for p in network.parameters()]).numpy()
    return {"labels": scores.argmax(1).numpy(), "scores": scores.numpy(), "test_features": y.numpy(), "weights": weights}
