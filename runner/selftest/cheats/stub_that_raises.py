# id = "stub-that-raises"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "has the required methods, and they only raise"
# caught_by = ["missing_component", "crashed"]

def nothing(self, *given):
    raise NotImplementedError


ComplexNN.custom_activation = nothing
