# id = "flagship-scores-with-an-offset"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "keeps the network's scores around a thousand by a bias that all classes share, which changes no label"

class ComplexNN(ComplexNN):
    def __init__(self, inputs, hidden, outputs):
        super().__init__(inputs, hidden, outputs)
        with torch.no_grad():
            self.second.bias += 1000.0
