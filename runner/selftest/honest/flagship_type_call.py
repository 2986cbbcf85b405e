# id = "flagship-type-call"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "makes its classes by calling type, and binds them from a table"

def activate(self, x):
    return torch.maximum(x, LEAK * x)


def answer(self, x):
    return self.second(self.custom_activation(self.first(x)))


table = {
    "ComplexNN": type("Net", (ComplexNN,), {"custom_activation": activate, "forward": answer}),
    "ComplexFeatureExtractor": type("Features", (ComplexFeatureExtractor,), {}),
}
del ComplexNN, ComplexFeatureExtractor
globals().update(table)
