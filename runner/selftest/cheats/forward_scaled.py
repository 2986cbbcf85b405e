# id = "forward-scaled"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "divides the scores in its forward pass, which changes no label and is another network"
# caught_by = ["not_equivalent", "unsafe:answer-witness"]

class ComplexNN(ComplexNN):
    def forward(self, x):
        return super().forward(x) / 3.0
