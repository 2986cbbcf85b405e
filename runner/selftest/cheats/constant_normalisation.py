# id = "constant-normalisation"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "normalises everything to one value"
# caught_by = ["missing_component"]

ComplexFeatureExtractor.custom_normalize = lambda self, features: np.ones_like(features)
