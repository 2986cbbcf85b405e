import numpy as np
import torch
from torch import nn


def gradients(images):
    gx = np.zeros(images.shape)
    gy = np.zeros(images.shape)
    gx[:, :, 1:-1] = (images[:, :, 2:].astype(np.float64) - images[:, :, :-2]) / 2
    gy[:, 1:-1] = (images[:, 2:].astype(np.float64) - images[:, :-2]) / 2
    return gx, gy


def histograms(gx, gy):
    n, side, _ = gx.shape
    weight = np.hypot(gx, gy).ravel()
    place = (np.arctan2(gy, gx) % np.pi / np.pi * 8).ravel()
    lower = place.astype(int)
    share = place - lower
    quarter = np.arange(side) * 4 // side
    cell = (quarter[:, None] * 4 + quarter).ravel()
    start = (np.repeat(np.arange(n) * 16, side * side) + np.tile(cell, n)) * 8
    counts = np.bincount(start + lower % 8, weight * (1 - share), n * 128)
    counts += np.bincount(start + (lower + 1) % 8, weight * share, n * 128)
    return counts.reshape(n, 128)


def features_of(images):
    """Functions are enough here: there is no state to keep in a class."""
    raw = histograms(*gradients(images))
    return ((raw - raw.mean(0)) / (raw.std(0) + 1e-8)).astype(np.float32)


class ComplexNN(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, outputs)

    def custom_activation(self, x):
        return nn.functional.leaky_relu(x, 0.1)

    def forward(self, x):
        return self.second(self.custom_activation(self.first(x)))


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    x, x_test = (torch.from_numpy(features_of(images)) for images in (train_images, test_images))
    y = torch.from_numpy(train_labels)
    net = ComplexNN(x.shape[1], 256, 10)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=0.02)
    order = torch.Generator().manual_seed(seed)
    for epoch in range(10):
        optimizer.param_groups[0]["lr"] = 0.01 * (1 - epoch / 10)
        for batch in torch.randperm(len(x), generator=order).split(50):
            loss = nn.functional.cross_entropy(net(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        scores = net(x_test)
    return {
        "labels": scores.argmax(1).numpy(),
        "scores": scores.numpy(),
        "test_features": x_test.numpy(),
        "weights": torch.cat([p.detach().flatten() for p in net.parameters()]).numpy(),
    }
