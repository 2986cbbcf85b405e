# id = "flagship-layer"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "uses a layer of the library for the activation"

leaky = nn.LeakyReLU(LEAK)
ComplexNN.custom_activation = lambda self, x: leaky(x)
