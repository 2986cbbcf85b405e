# id = "missing-class"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "drops a required class"
# caught_by = ["missing_component"]

Net = ComplexNN
del ComplexNN


class Hidden(Net):
    pass


honest_source = train_and_predict
globals()["train_and_predict"] = lambda **given: forbidden()


def forbidden():
    raise NameError("ComplexNN")
