# id = "flagship-abstract-base"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "derives its classes from abstract ones, with methods that need no instance, and keeps one of them in a frozen dataclass"

import abc
import dataclasses

Extractor = ComplexFeatureExtractor


class Features(abc.ABC):
    @abc.abstractmethod
    def extract(self, images): ...


@dataclasses.dataclass(frozen=True)
class ComplexFeatureExtractor(Features):
    bins: int
    inner: Extractor = dataclasses.field(default_factory=Extractor, compare=False)

    @staticmethod
    def extract_gradients(images):
        return Extractor().extract_gradients(images)

    @classmethod
    def custom_normalize(cls, features):
        return Extractor().custom_normalize(features)

    def extract(self, images):
        histograms = self.inner.orientation_histograms(*self.extract_gradients(images))
        return self.custom_normalize(histograms).astype(np.float32)


def train_and_predict(train_images, train_labels, test_images, seed):
    torch.manual_seed(seed)
    extractor = ComplexFeatureExtractor(BINS)
    x, y = (torch.from_numpy(extractor.extract(images)) for images in (train_images, test_images))
    network = ComplexNN(x.shape[1], HIDDEN, CLASSES)
    train(network, x, torch.from_numpy(train_labels), seed)
    with torch.no_grad():
        scores = network(y)
    weights = torch.cat([p.detach().flatten() for p in network.parameters()]).numpy()
    return {"labels": scores.argmax(1).numpy(), "scores": scores.numpy(), "test_features": y.numpy(), "weights": weights}
