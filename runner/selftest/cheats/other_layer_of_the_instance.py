# id = "other-layer-of-the-instance"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "has, in place of a method, a layer that computes something else, which each instance gets from its constructor"
# caught_by = ["not_equivalent"]

class ComplexNN(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.custom_activation = nn.ReLU()
        self.second = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.second(nn.functional.leaky_relu(self.first(x), LEAK))
