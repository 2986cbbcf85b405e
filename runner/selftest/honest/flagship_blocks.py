# id = "flagship-blocks"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "computes the distances in blocks"

def custom_normalize(self, features):
    centered = features - features.mean(axis=0)
    medians = []
    for start in range(0, len(centered), 64):
        block = centered[start : start + 64]
        medians.append(np.median(np.sqrt(((block[:, None] - centered[None]) ** 2).sum(2)), axis=1))
    return centered * np.sqrt(features.shape[1]) / (np.concatenate(medians)[:, None] + 1e-8)


ComplexFeatureExtractor.custom_normalize = custom_normalize
