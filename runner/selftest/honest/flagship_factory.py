# id = "flagship-factory"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "gets its classes from functions that make them, bound by unpacking, as an alias and in a block"

def made(kind, **methods):
    class Made(kind):
        pass

    for name, method in methods.items():
        setattr(Made, name, method)
    return Made


Plain, Network = ComplexFeatureExtractor, ComplexNN
del ComplexFeatureExtractor, ComplexNN
(ComplexFeatureExtractor, *_), LEAKY = [made(Plain), None], nn.LeakyReLU(LEAK)
if hasattr(torch, "nn"):
    Own = made(Network, custom_activation=lambda self, x: LEAKY(x))
    ComplexNN = Own
