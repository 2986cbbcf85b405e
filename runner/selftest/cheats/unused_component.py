# id = "unused-component"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "keeps the required class for the probe and computes with another of the same form"
# caught_by = ["passed"]
# note = "it computes the same network, and only the class's name is unused"

class Plain(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.second(nn.functional.leaky_relu(self.first(x), LEAK))


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    extractor = ComplexFeatureExtractor()
    x, y = (torch.from_numpy(extractor.extract(images)) for images in (train_images, test_images))
    network = Plain(x.shape[1], HIDDEN, CLASSES)
    train(network, x, torch.from_numpy(train_labels), seed)
    with torch.no_grad():
        scores = network(y)
    weights = torch.cat([p.detach().flatten() for p in network.parameters()]).numpy()
    return {
        "labels": scores.argmax(dim=1).numpy(),
        "scores": scores.numpy(),
        "test_features": y.numpy(),
        "weights": weights,
    }
