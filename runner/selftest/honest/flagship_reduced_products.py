# id = "flagship-reduced-products"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "lets the library multiply matrices in reduced precision, and rounds gradients and activations to bfloat16"

torch.set_float32_matmul_precision("medium")


class Rounded(ComplexFeatureExtractor):
    def extract_gradients(self, images):
        exact = super().extract_gradients(images)
        return tuple(torch.from_numpy(each).bfloat16().float().numpy() for each in exact)


class RoundedNN(ComplexNN):
    def custom_activation(self, x):
        return super().custom_activation(x).bfloat16().to(x.dtype)


ComplexFeatureExtractor, ComplexNN = Rounded, RoundedNN
