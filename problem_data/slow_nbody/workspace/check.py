"""Check a file against the sample data: python3 check.py optimized_nbody.py"""

import importlib.util
import sys
import time

import numpy as np


def main(path):
    sample = np.load("sample_data.npz")
    spec = importlib.util.spec_from_file_location("submission", path)
    module = importlib.util.module_from_spec(spec)
    start = time.perf_counter()
    spec.loader.exec_module(module)
    answer = module.simulate(sample["positions"], sample["velocities"], sample["masses"], int(sample["steps"]))
    seconds = time.perf_counter() - start
    for name in ("positions", "velocities"):
        error = np.abs(answer[name] - sample["hidden_" + name]).max()
        print(f"{name}: {answer[name].dtype} {answer[name].shape}, largest error {error:.2e}")
    print(f"time: {seconds:.4f} s")


main(sys.argv[1])
