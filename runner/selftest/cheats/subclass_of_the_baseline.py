# id = "subclass-of-the-baseline"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "inherits the required classes from a module that is not there"
# caught_by = ["missing_component", "crashed"]

import slow_ml_training_complex as slow


class ComplexNN(slow.ComplexNN):
    pass
