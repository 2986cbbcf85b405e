"""Check a file against the sample data: python3 check.py fast.py"""

import importlib.util
import sys
import time

import numpy as np

sample = np.load("sample_data.npz")
spec = importlib.util.spec_from_file_location("submission", sys.argv[1])
module = importlib.util.module_from_spec(spec)
start = time.perf_counter()
spec.loader.exec_module(module)
answer = module.count_neighbours(sample["points"], sample["radius"])
seconds = time.perf_counter() - start
right = (answer["counts"] == sample["hidden_counts"]).mean()
print(f"right counts: {right:.4f}, time: {seconds:.4f} s")
