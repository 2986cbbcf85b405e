# id = "flagship-cached-bins"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "computes the places of cells and bins once, in a cache of functools, and reads its settings from a dataclass"

import dataclasses
import functools


@dataclasses.dataclass(frozen=True)
class Settings:
    cells: int = CELLS
    bins: int = BINS


@functools.lru_cache(maxsize=8)
def cell_of(rows, cols, settings=Settings()):
    of_row, of_col = (np.arange(length) * settings.cells // length for length in (rows, cols))
    return of_row[:, None] * settings.cells + of_col


class ComplexFeatureExtractor(ComplexFeatureExtractor):
    def orientation_histograms(self, gx, gy):
        count, rows, cols = gx.shape
        place = np.arctan2(gy, gx) % np.pi / np.pi * BINS
        lower, magnitude = place.astype(np.int64), np.hypot(gx, gy)
        share = place - lower
        at = (np.arange(count)[:, None, None] * CELLS * CELLS + cell_of(rows, cols)) * BINS
        features = np.zeros(count * CELLS * CELLS * BINS)
        for bins, part in ((lower % BINS, magnitude * (1.0 - share)), ((lower + 1) % BINS, magnitude * share)):
            features += np.bincount((at + bins).ravel(), part.ravel(), len(features))
        return features.reshape(count, -1)
