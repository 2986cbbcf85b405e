"""Check a file on the sample data: time, accuracy, form. The grader uses fresh data and its own clock."""

import argparse
import importlib.util
import time

import numpy as np
import torch
import torch._dynamo  # the first optimiser imports it: loaded beforehand, as in grading
import torch.nn.functional
import torch.optim

ANSWER = {"labels": ("int64", (0,)), "scores": ("float32", (0, 10)), "test_features": ("float32", (0, 128))}
COMPONENTS = {
    "ComplexFeatureExtractor": ("extract_gradients", "custom_normalize", "extract"),
    "ComplexNN": ("custom_activation", "forward"),
}


def timed(path, sample):
    """(seconds, answer, module) of one run, as the grader times it: loading the file and one call."""
    spec = importlib.util.spec_from_file_location("submission", path)
    module = importlib.util.module_from_spec(spec)
    start = time.perf_counter()
    spec.loader.exec_module(module)
    answer = module.train_and_predict(
        sample["train_images"], sample["train_labels"], sample["test_images"], int(sample["seed"])
    )
    return time.perf_counter() - start, answer, module


def check_form(answer, module, count):
    """Print what does not have the form that is asked for."""
    for name, (dtype, shape) in ANSWER.items():
        expected = (count, *shape[1:])
        if name not in answer:
            print(f"  missing: {name}")
        elif str(answer[name].dtype) != dtype or answer[name].shape != expected:
            print(f"  {name} is {answer[name].dtype}{answer[name].shape}, should be {dtype}{expected}")
    if answer.get("weights") is None or answer["weights"].shape != (35594,):
        print("  weights should be 35594 float32 numbers")
    for name, methods in COMPONENTS.items():
        missing = [m for m in methods if not hasattr(getattr(module, name, None), m)]
        if missing:
            print(f"  {name} lacks {', '.join(missing)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--baseline", action="store_true", help="also time the starter")
    parser.add_argument("--rows", type=int, help="only so many images of each kind: quicker, and smaller ratios")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with np.load("sample_data.npz") as file:
        sample = {name: array[: options.rows] if array.ndim else array for name, array in file.items()}
    seconds, answer, module = timed(options.file, sample)
    check_form(answer, module, len(sample["test_images"]))
    print(f"{options.file}: {seconds:.3f} s, accuracy {np.mean(answer['labels'] == sample['hidden_labels']):.4f}")
    if options.baseline:
        slow, answer, _ = timed("slow_ml_training_complex.py", sample)
        print(f"starter: {slow:.3f} s, accuracy {np.mean(answer['labels'] == sample['hidden_labels']):.4f}")
        print(f"speed-up here: {slow / seconds:.1f}x")


main()
