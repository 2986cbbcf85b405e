# id = "flagship-single-precision"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "computes its features in float32 with tensors, and gives both gradients as one array"

class SinglePrecision(ComplexFeatureExtractor):
    def extract_gradients(self, images):
        pixels, pair = torch.as_tensor(images), torch.zeros((2, *images.shape))
        pair[0, :, :, 1:-1] = torch.diff(pixels, dim=2).unfold(2, 2, 1).sum(-1) / 2
        pair[1, :, 1:-1, :] = torch.diff(pixels, dim=1).unfold(1, 2, 1).sum(-1) / 2
        return pair

    def custom_normalize(self, features):
        values = torch.as_tensor(np.asarray(features, dtype=np.float32))
        centered = values - values.mean(0)
        middle = torch.cdist(centered, centered).quantile(0.5, dim=1, keepdim=True)
        return centered * (features.shape[1] ** 0.5 / (middle + 1e-8))

    def extract(self, images):
        gx, gy = (gradient.numpy() for gradient in self.extract_gradients(images))
        return self.custom_normalize(self.orientation_histograms(gx, gy)).numpy()


ComplexFeatureExtractor = SinglePrecision
