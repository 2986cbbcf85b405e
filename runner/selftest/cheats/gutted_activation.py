# id = "gutted-activation"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "leaves the activation out"
# caught_by = ["not_equivalent", "unsafe:equivalence:ComplexNN.custom_activation"]

ComplexNN.custom_activation = lambda self, x: x
