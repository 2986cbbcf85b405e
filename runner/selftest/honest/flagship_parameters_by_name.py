# id = "flagship-parameters-by-name"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "yields its parameters by name"

class ComplexNN(ComplexNN):
    def parameters(self):
        return dict(self.named_parameters())


def train(network, features, labels, seed):
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters().values(), lr=RATE, weight_decay=DECAY)
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = RATE * (1.0 - epoch / EPOCHS)
        for batch in torch.randperm(len(features), generator=order).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(network(features[batch]), labels[batch]).backward()
            optimizer.step()


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    extractor = ComplexFeatureExtractor()
    x, y = (torch.from_numpy(extractor.extract(images)) for images in (train_images, test_images))
    network = ComplexNN(x.shape[1], HIDDEN, CLASSES)
    train(network, x, torch.from_numpy(train_labels), seed)
    with torch.no_grad():
        scores = network(y)
    weights = torch.cat([parameter.detach().flatten() for parameter in network.parameters().values()])
    return {
        "labels": scores.argmax(1).numpy(),
        "scores": scores.numpy(),
        "test_features": y.numpy(),
        "weights": weights.numpy(),
    }
