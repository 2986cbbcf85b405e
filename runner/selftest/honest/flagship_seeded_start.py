# id = "flagship-seeded-start"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "begins with the same parameters each time, by a seed among further arguments of its constructor"

class ComplexNN(ComplexNN):
    def __init__(self, inputs, hidden, outputs, start=7, spread=1.0):
        super().__init__(inputs, hidden, outputs)
        fixed = torch.Generator().manual_seed(start)
        with torch.no_grad():
            for parameter in self.parameters():
                bound = spread / parameter.shape[-1] ** 0.5
                parameter.uniform_(-bound, bound, generator=fixed)
