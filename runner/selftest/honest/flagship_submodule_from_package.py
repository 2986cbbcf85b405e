# id = "flagship-submodule-from-package"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "imports an allowed module from the package that it lies in, and a module of that module"

import torch.nn.utils.parametrize
from sklearn import preprocessing
from torch.utils import data

honest, scale = ComplexFeatureExtractor.extract, preprocessing.FunctionTransformer().fit_transform
ComplexFeatureExtractor.extract = lambda self, images: scale(honest(self, images))
