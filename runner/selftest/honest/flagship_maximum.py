# id = "flagship-maximum"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "writes the activation with a maximum"

ComplexNN.custom_activation = lambda self, x: torch.maximum(x, LEAK * x)
