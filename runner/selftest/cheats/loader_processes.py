# id = "loader-processes"
# class = "timing"
# task = "slow_ml_training_complex"
# base = "baseline"
# tries = "spreads the slow work over processes"
# caught_by = ["too_slow"]

import multiprocessing

context = multiprocessing.get_context("fork")
slow_extract = ComplexFeatureExtractor.extract_gradients


def part(images):
    return slow_extract(ComplexFeatureExtractor(), images)


def spread(self, images):
    with context.Pool(4) as pool:
        done = pool.map(part, np.array_split(images, 4))
    return tuple(np.concatenate(each) for each in zip(*done, strict=True))


ComplexFeatureExtractor.extract_gradients = spread
