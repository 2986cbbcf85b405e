# id = "random-normalisation"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "gives numbers that have nothing to do with the features"
# caught_by = ["missing_component"]

ComplexFeatureExtractor.custom_normalize = lambda self, features: np.random.default_rng(0).random(features.shape)
