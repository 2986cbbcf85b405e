"""Train a small network on gradient features of textures. Correct, readable, and slow."""

import math

import numpy as np
import torch
import torch.nn as nn

CELLS = 4
BINS = 8
HIDDEN = 256
CLASSES = 10
EPOCHS = 10
BATCH = 50
LEAK = 0.1
RATE = 0.01
DECAY = 2e-2


class ComplexFeatureExtractor:
    """Histograms of gradient orientation in 4x4 cells, normalised by distances between samples."""

    def extract_gradients(self, images):
        """Horizontal and vertical central differences; zero at the border."""
        count, rows, cols = images.shape
        gx = np.zeros((count, rows, cols))
        gy = np.zeros((count, rows, cols))
        for n in range(count):
            for i in range(rows):
                for j in range(cols):
                    if 0 < j < cols - 1:
                        gx[n, i, j] = (images[n, i, j + 1] - images[n, i, j - 1]) / 2.0
                    if 0 < i < rows - 1:
                        gy[n, i, j] = (images[n, i + 1, j] - images[n, i - 1, j]) / 2.0
        return gx, gy

    def orientation_histograms(self, gx, gy):
        """Gradient magnitude by cell and orientation (modulo 180 degrees), shared between the two nearest bins."""
        count, rows, cols = gx.shape
        features = np.zeros((count, CELLS * CELLS * BINS))
        for n in range(count):
            for i in range(rows):
                for j in range(cols):
                    magnitude = math.sqrt(gx[n, i, j] ** 2 + gy[n, i, j] ** 2)
                    place = (math.atan2(gy[n, i, j], gx[n, i, j]) % math.pi) / math.pi * BINS
                    lower = int(place) % BINS
                    share = place - int(place)
                    cell = (i * CELLS // rows) * CELLS + j * CELLS // cols
                    features[n, cell * BINS + lower] += magnitude * (1.0 - share)
                    features[n, cell * BINS + (lower + 1) % BINS] += magnitude * share
        return features

    def custom_normalize(self, features):
        """Centre all samples, then scale each by the median of its distances to all samples (to about one a feature)."""
        count, width = features.shape
        centered = features - features.mean(axis=0)
        normalized = np.zeros_like(centered)
        for i in range(count):
            distances = []
            for j in range(count):
                distances.append(np.sqrt(np.sum((centered[i] - centered[j]) ** 2)))
            normalized[i] = centered[i] * math.sqrt(width) / (np.median(distances) + 1e-8)
        return normalized

    def extract(self, images):
        """Features of a set of images, float32."""
        gx, gy = self.extract_gradients(images)
        features = self.orientation_histograms(gx, gy)
        return self.custom_normalize(features).astype(np.float32)


class ComplexNN(nn.Module):
    """Two layers with an activation of our own."""

    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, outputs)

    def custom_activation(self, x):
        """The value where it is positive, a tenth of it elsewhere."""
        slope = torch.zeros(x.shape)
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                if x[i, j].item() > 0:
                    slope[i, j] = 1.0
                else:
                    slope[i, j] = LEAK
        return x * slope

    def forward(self, x):
        return self.second(self.custom_activation(self.first(x)))


def train(network, features, labels, seed):
    """Minibatches in a fresh order each epoch, with a rate that falls to nothing."""
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, weight_decay=DECAY)
    loss_of = nn.CrossEntropyLoss()
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = RATE * (1.0 - epoch / EPOCHS)
        shuffled = torch.randperm(len(features), generator=order)
        for start in range(0, len(features), BATCH):
            batch = shuffled[start : start + BATCH]
            optimizer.zero_grad()
            loss = loss_of(network(features[batch]), labels[batch])
            loss.backward()
            optimizer.step()


def train_and_predict(train_images, train_labels, test_images, seed):
    """Train on the one set, predict the other; returns labels, scores, the test features and the weights."""
    torch.manual_seed(seed)
    extractor = ComplexFeatureExtractor()
    train_features = torch.from_numpy(extractor.extract(train_images))
    test_features = torch.from_numpy(extractor.extract(test_images))
    network = ComplexNN(train_features.shape[1], HIDDEN, CLASSES)
    train(network, train_features, torch.from_numpy(train_labels), seed)
    with torch.no_grad():
        scores = network(test_features)
    weights = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    return {
        "labels": scores.argmax(dim=1).numpy(),
        "scores": scores.numpy(),
        "test_features": test_features.numpy(),
        "weights": weights.numpy(),
    }
