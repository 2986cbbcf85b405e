# id = "flagship-roll"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "takes the differences with np.roll"

def extract_gradients(self, images):
    pixels = images.astype(np.float64)
    gx = (np.roll(pixels, -1, 2) - np.roll(pixels, 1, 2)) / 2.0
    gy = (np.roll(pixels, -1, 1) - np.roll(pixels, 1, 1)) / 2.0
    gx[:, :, (0, -1)] = 0.0
    gy[:, (0, -1), :] = 0.0
    return gx, gy


ComplexFeatureExtractor.extract_gradients = extract_gradients
