# id = "flagship-add-at"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "fills the histograms with np.add.at"

def orientation_histograms(self, gx, gy):
    count, rows, cols = gx.shape
    magnitude = np.sqrt(gx * gx + gy * gy)
    place = np.arctan2(gy, gx) % np.pi / np.pi * BINS
    whole = place.astype(np.int64)
    share = place - whole
    cell = (np.arange(rows) * CELLS // rows)[:, None] * CELLS + np.arange(cols) * CELLS // cols
    features = np.zeros((count, CELLS * CELLS * BINS))
    image = np.arange(count)[:, None, None]
    np.add.at(features, (image, cell * BINS + whole % BINS), magnitude * (1.0 - share))
    np.add.at(features, (image, cell * BINS + (whole + 1) % BINS), magnitude * share)
    return features


ComplexFeatureExtractor.orientation_histograms = orientation_histograms
