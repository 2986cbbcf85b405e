# id = "class-inside-a-function"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "has the required class in its text, inside a function, and computes with another"
# caught_by = ["missing_component"]

def hide(kind):
    global Plain
    Plain = kind

    class ComplexNN(kind):
        def custom_activation(self, x):
            return x

    return kind


hide(ComplexNN)
del ComplexNN


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    extractor = ComplexFeatureExtractor()
    x, y = (torch.from_numpy(extractor.extract(images)) for images in (train_images, test_images))
    network = Plain(x.shape[1], HIDDEN, CLASSES)
    train(network, x, torch.from_numpy(train_labels), seed)
    with torch.no_grad():
        scores = network(y)
    weights = torch.cat([p.detach().flatten() for p in network.parameters()]).numpy()
    return {"labels": scores.argmax(1).numpy(), "scores": scores.numpy(), "test_features": y.numpy(), "weights": weights}
