# id = "forward-without-input"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "has a forward pass that ignores its input"
# caught_by = ["unsafe:answer-witness", "unsafe:component-works:ComplexNN.forward", "missing_component"]

ComplexNN.forward = lambda self, x: self.second.bias.expand(len(x), -1) + 0.0 * x[:1, :10]
