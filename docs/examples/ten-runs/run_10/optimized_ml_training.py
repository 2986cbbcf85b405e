import numpy as np
import torch
import torch.nn as nn
from torch.optim import Adam

EPOCHS, BATCH, RATE, DECAY = 10, 50, 0.01, 2e-2


class ComplexFeatureExtractor:
    def __init__(self):
        self.bins = 8
        self.cells = 4

    def extract_gradients(self, images):
        images = images.astype(np.float64)
        gx = np.pad(images[:, :, 2:] - images[:, :, :-2], ((0, 0), (0, 0), (1, 1))) / 2.0
        gy = np.pad(images[:, 2:, :] - images[:, :-2, :], ((0, 0), (1, 1), (0, 0))) / 2.0
        return gx, gy

    def _by_cell(self, values):
        """(n, 16, 16) -> (n, cells, pixels of the cell)"""
        n, h, w = values.shape
        k = self.cells
        return values.reshape(n, k, h // k, k, w // k).transpose(0, 1, 3, 2, 4).reshape(n, k * k, -1)

    def histograms(self, gx, gy):
        magnitude = self._by_cell(np.sqrt(gx**2 + gy**2))
        angle = self._by_cell(np.arctan2(gy, gx) % np.pi / np.pi * self.bins)
        # The share of a bin falls off linearly with the (circular) distance to it.
        features = np.empty((*magnitude.shape[:2], self.bins))
        for b in range(self.bins):
            gap = np.abs(angle - b)
            gap = np.minimum(gap, self.bins - gap)
            features[:, :, b] = np.einsum("ncp,ncp->nc", magnitude, np.maximum(1.0 - gap, 0.0))
        return features.reshape(len(gx), -1)

    def custom_normalize(self, features):
        x = features - features.mean(axis=0)
        gram = x @ x.T
        norms = gram.diagonal()
        squared = norms[:, None] + norms[None, :]
        squared -= 2.0 * gram
        n = len(x)
        lower, upper = (n - 1) // 2, n // 2  # the root keeps the order: it can wait
        middle = np.partition(squared, (lower, upper), axis=1)[:, [lower, upper]]
        median = np.sqrt(np.maximum(middle, 0.0)).mean(axis=1)
        return x * (np.sqrt(x.shape[1]) / (median + 1e-8))[:, None]

    def extract(self, images):
        return self.custom_normalize(self.histograms(*self.extract_gradients(images))).astype(np.float32)


class ComplexNN(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, outputs)

    def custom_activation(self, x):
        slope = torch.full_like(x, 0.1)
        slope[x > 0] = 1.0
        return x * slope

    def forward(self, x):
        hidden = self.custom_activation(self.first(x))
        return self.second(hidden)


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    extractor = ComplexFeatureExtractor()
    features = torch.from_numpy(extractor.extract(train_images))
    test_features = torch.from_numpy(extractor.extract(test_images))
    labels = torch.from_numpy(train_labels)
    network = ComplexNN(features.shape[1], 256, 10)
    optimizer = Adam(network.parameters(), lr=RATE, weight_decay=DECAY)
    loss_of = nn.CrossEntropyLoss()
    shuffle = torch.Generator().manual_seed(seed)
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = RATE * (1.0 - epoch / EPOCHS)
        order = torch.randperm(len(features), generator=shuffle)
        shuffled, targets = features[order], labels[order]
        for start in range(0, len(order), BATCH):
            optimizer.zero_grad()
            loss_of(network(shuffled[start : start + BATCH]), targets[start : start + BATCH]).backward()
            optimizer.step()
    with torch.no_grad():
        scores = network(test_features)
    flat = [p.detach().numpy().ravel() for p in network.parameters()]
    return {
        "labels": np.argmax(scores.numpy(), axis=1),
        "scores": scores.numpy(),
        "test_features": test_features.numpy(),
        "weights": np.concatenate(flat),
    }
