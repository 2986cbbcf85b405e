# id = "flagship-zero-start"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "begins with zeros in the last layer, so that a fresh network answers nothing"

class ComplexNN(ComplexNN):
    def __init__(self, inputs, hidden, outputs):
        super().__init__(inputs, hidden, outputs)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)
