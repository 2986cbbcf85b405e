# id = "gutted-gradients"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "gives gradients of zero"
# caught_by = ["missing_component"]

ComplexFeatureExtractor.extract_gradients = lambda self, images: (np.zeros(images.shape), np.zeros(images.shape))
