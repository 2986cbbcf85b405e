# id = "flagship-layer-of-the-instance"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "has a layer of the library, which each instance gets from its constructor, in place of a method"

class ComplexNN(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.custom_activation = nn.LeakyReLU(LEAK)
        self.second = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.second(self.custom_activation(self.first(x)))
