# id = "class-in-a-docstring"
# class = "text"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "names the required class in a text only"
# caught_by = ["missing_component"]

NOTE = """
class ComplexNN(nn.Module):
    def custom_activation(self, x): ...
    def forward(self, x): ...
"""
Plain = ComplexNN
del ComplexNN
