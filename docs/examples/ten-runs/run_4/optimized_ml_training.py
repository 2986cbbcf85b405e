import numpy as np
import torch
import torch.nn as nn


class ComplexFeatureExtractor:
    """Gradients in loops without the tests for the border, histograms cell by cell, one scale for all samples."""

    def extract_gradients(self, images):
        count, rows, cols = images.shape
        gx = np.zeros((count, rows, cols))
        gy = np.zeros((count, rows, cols))
        for n in range(count):
            for i in range(1, rows - 1):
                for j in range(1, cols - 1):
                    gx[n, i, j] = (images[n, i, j + 1] - images[n, i, j - 1]) / 2.0
                    gy[n, i, j] = (images[n, i + 1, j] - images[n, i - 1, j]) / 2.0
        gx[:, (0, -1), 1:-1] = (images[:, (0, -1), 2:] - images[:, (0, -1), :-2]) / 2.0
        gy[:, 1:-1, (0, -1)] = (images[:, 2:, (0, -1)] - images[:, :-2, (0, -1)]) / 2.0
        return gx, gy

    def orientation_histograms(self, gx, gy):
        count, rows, cols = gx.shape
        high, wide = rows // 4, cols // 4
        features = np.zeros((count, 128))
        for n in range(count):
            for r in range(4):
                for c in range(4):
                    window = (slice(r * high, (r + 1) * high), slice(c * wide, (c + 1) * wide))
                    dx, dy = gx[n][window].ravel(), gy[n][window].ravel()
                    weight = np.sqrt(dx**2 + dy**2)
                    where = (np.arctan2(dy, dx) % np.pi) / np.pi * 8
                    lower = where.astype(int)
                    share = where - lower
                    at = (r * 4 + c) * 8
                    np.add.at(features[n], at + lower % 8, weight * (1.0 - share))
                    np.add.at(features[n], at + (lower + 1) % 8, weight * share)
        return features

    def custom_normalize(self, features):
        centered = features - features.mean(axis=0)
        feature_magnitude = np.linalg.norm(centered, axis=1, keepdims=True)
        scale = np.median(feature_magnitude) + 1e-8
        return centered * np.sqrt(features.shape[1]) / scale

    def extract(self, images):
        gx, gy = self.extract_gradients(images)
        return self.custom_normalize(self.orientation_histograms(gx, gy)).astype(np.float32)


class ComplexNN(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, outputs)

    def custom_activation(self, x):
        return torch.stack([torch.where(row > 0, row, row * 0.1) for row in x])

    def forward(self, x):
        return self.second(self.custom_activation(self.first(x)))


class Trainer:
    def __init__(self, network, seed):
        self.network = network
        self.optimizer = torch.optim.Adam(network.parameters(), lr=0.01, weight_decay=2e-2)
        self.criterion = nn.CrossEntropyLoss()
        self.generator = torch.Generator().manual_seed(seed)

    def epoch(self, features, labels, rate):
        self.optimizer.param_groups[0]["lr"] = rate
        order = torch.randperm(len(features), generator=self.generator)
        for start in range(0, len(features), 50):
            batch = order[start : start + 50]
            self.optimizer.zero_grad()
            loss = self.criterion(self.network(features[batch]), labels[batch])
            loss.backward()
            self.optimizer.step()

    def fit(self, features, labels, epochs=10):
        for number in range(epochs):
            self.epoch(features, labels, 0.01 * (1.0 - number / epochs))


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    extractor = ComplexFeatureExtractor()
    train_features = torch.from_numpy(extractor.extract(train_images))
    test_features = torch.from_numpy(extractor.extract(test_images))
    network = ComplexNN(train_features.shape[1], 256, 10)
    Trainer(network, seed).fit(train_features, torch.from_numpy(train_labels))
    with torch.no_grad():
        scores = network(test_features)
    weights = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    return {
        "labels": scores.argmax(dim=1).numpy(),
        "scores": scores.numpy(),
        "test_features": test_features.numpy(),
        "weights": weights.numpy(),
    }
