# id = "same-parameters-for-all"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "keeps one set of weights outside of its instances, and answers a fresh network from it"
# caught_by = ["missing_component", "unsafe:answer-witness"]

FIRST, SECOND = torch.randn(128, HIDDEN), torch.randn(HIDDEN, CLASSES)


class ComplexNN(ComplexNN):
    def forward(self, x):
        if torch.is_grad_enabled() and x.requires_grad is False and len(x) == BATCH:
            return super().forward(x)
        return self.custom_activation(x @ FIRST) @ SECOND
