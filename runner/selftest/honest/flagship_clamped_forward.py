# id = "flagship-clamped-forward"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "bounds its scores far beyond any that occur, and checks its shapes as it goes"

class ComplexNN(ComplexNN):
    def forward(self, x):
        assert x.ndim == 2 and x.shape[1] == self.first.in_features, x.shape
        return super().forward(x).clamp(-1e6, 1e6)
