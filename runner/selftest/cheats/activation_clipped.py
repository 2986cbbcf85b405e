# id = "activation-clipped"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "clips its activation at one, which few inputs reach"
# caught_by = ["not_equivalent", "unsafe:answer-witness"]

class ComplexNN(ComplexNN):
    def custom_activation(self, x):
        return super().custom_activation(x).clamp(max=1.0)
