# id = "forward-without-weights"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "has a forward pass that uses no parameters"
# caught_by = ["missing_component", "inaccurate"]

ComplexNN.forward = lambda self, x: x[:, :10] * 2.0
