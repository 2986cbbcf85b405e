# id = "flagship-root-mean-square"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "scales by the root mean square distance (computes something else)"

def custom_normalize(self, features):
    centered = features - features.mean(axis=0)
    square = (centered**2).sum(axis=1)
    typical = np.sqrt(square + square.mean())
    return centered * np.sqrt(features.shape[1]) / (typical[:, None] + 1e-8)


ComplexFeatureExtractor.custom_normalize = custom_normalize
