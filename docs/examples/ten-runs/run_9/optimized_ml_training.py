import numpy as np
import torch
import torch.nn.functional as F

BINS, CELLS = 8, 4


class ComplexFeatureExtractor:
    """Array slices, bincount and one matrix of distances."""

    def extract_gradients(self, images):
        images = np.asarray(images, dtype=np.float64)
        gx = np.zeros_like(images)
        gy = np.zeros_like(images)
        gx[:, :, 1:-1] = 0.5 * (images[:, :, 2:] - images[:, :, :-2])
        gy[:, 1:-1, :] = 0.5 * (images[:, 2:, :] - images[:, :-2, :])
        return gx, gy

    def orientation_histograms(self, gx, gy):
        n, h, w = gx.shape
        mag = np.hypot(gx, gy)
        pos = (np.arctan2(gy, gx) % np.pi) * (BINS / np.pi)
        low = np.floor(pos).astype(np.intp)
        frac = pos - low
        low %= BINS
        rows, cols = np.indices((h, w))
        cell = (rows * CELLS // h) * CELLS + cols * CELLS // w
        base = np.arange(n)[:, None, None] * (CELLS * CELLS * BINS) + cell * BINS
        size = n * CELLS * CELLS * BINS
        hist = np.bincount((base + low).ravel(), weights=(mag * (1 - frac)).ravel(), minlength=size)
        hist += np.bincount((base + (low + 1) % BINS).ravel(), weights=(mag * frac).ravel(), minlength=size)
        return hist.reshape(n, -1)

    def custom_normalize(self, features):
        centered = features - features.mean(axis=0)
        sq_norms = np.sum(centered**2, axis=1, keepdims=True)
        distances_sq = sq_norms - 2 * np.dot(centered, centered.T) + sq_norms.T
        distances = np.sqrt(np.maximum(distances_sq, 0))
        scales = np.median(distances, axis=1, keepdims=True) + 1e-8
        return centered * np.sqrt(features.shape[1]) / scales

    def extract(self, images):
        return self.custom_normalize(self.orientation_histograms(*self.extract_gradients(images))).astype(np.float32)


def linear(inputs, outputs):
    layer = torch.nn.Linear(inputs, outputs)
    return layer.weight, layer.bias


def forward(x, w1, b1, w2, b2):
    hidden = F.linear(x, w1, b1)
    return F.linear(torch.where(hidden > 0, hidden, 0.1 * hidden), w2, b2)


def train_and_predict(train_images, train_labels, test_images, seed):
    """No module classes at all: four tensors and a function."""
    torch.manual_seed(seed)
    extractor = ComplexFeatureExtractor()
    x = torch.from_numpy(extractor.extract(train_images))
    x_test = torch.from_numpy(extractor.extract(test_images))
    y = torch.from_numpy(train_labels)
    parameters = [*linear(x.shape[1], 256), *linear(256, 10)]
    optimizer = torch.optim.Adam(parameters, lr=0.01, weight_decay=2e-2)
    order = torch.Generator().manual_seed(seed)
    for epoch in range(10):
        optimizer.param_groups[0]["lr"] = 0.01 * (1 - epoch / 10)
        for idx in torch.randperm(len(x), generator=order).split(50):
            optimizer.zero_grad()
            F.cross_entropy(forward(x[idx], *parameters), y[idx]).backward()
            optimizer.step()
    with torch.no_grad():
        scores = forward(x_test, *parameters)
    return {
        "labels": scores.argmax(1).numpy(),
        "scores": scores.numpy(),
        "test_features": x_test.numpy(),
        "weights": torch.cat([p.detach().reshape(-1) for p in parameters]).numpy(),
    }
