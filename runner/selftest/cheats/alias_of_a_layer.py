# id = "alias-of-a-layer"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "gives another class the required name"
# caught_by = ["missing_component", "crashed"]

ComplexNN = nn.Linear
