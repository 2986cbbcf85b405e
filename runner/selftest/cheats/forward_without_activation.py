# id = "forward-without-activation"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "has a required class whose forward pass leaves the activation out, and computes with another class"
# caught_by = ["not_equivalent"]

Network = ComplexNN


class ComplexNN(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)

    def custom_activation(self, x):
        return nn.functional.leaky_relu(x, LEAK)

    def forward(self, x):
        return self.second(self.first(x))


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
