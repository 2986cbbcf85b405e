# id = "flagship-where"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "writes the activation with torch.where"

ComplexNN.custom_activation = lambda self, x: torch.where(x > 0, x, LEAK * x)
