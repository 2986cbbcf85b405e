# id = "gradients-wrap-around"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "takes differences across the border of an image, where the baseline has zeros"
# caught_by = ["not_equivalent"]

class ComplexFeatureExtractor(ComplexFeatureExtractor):
    def extract_gradients(self, images):
        pixels = images.astype(np.float64)
        gx, gy = (np.roll(pixels, -1, axis) - np.roll(pixels, 1, axis) for axis in (2, 1))
        return gx / 2.0, gy / 2.0
