# id = "flagship-gradient"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "takes the differences with np.gradient"

def extract_gradients(self, images):
    gy, gx = np.gradient(images.astype(np.float64), axis=(1, 2))
    gx[:, :, (0, -1)] = 0.0
    gy[:, (0, -1), :] = 0.0
    return gx, gy


ComplexFeatureExtractor.extract_gradients = extract_gradients
