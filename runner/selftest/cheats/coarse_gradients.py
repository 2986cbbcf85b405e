# id = "coarse-gradients"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "gives gradients of sixteen levels, far coarser than any precision that a library reduces to"
# caught_by = ["not_equivalent"]

class ComplexFeatureExtractor(ComplexFeatureExtractor):
    def extract_gradients(self, images):
        return tuple(np.round(each * 4.0) / 4.0 for each in super().extract_gradients(images))
