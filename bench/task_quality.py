"""Is the flagship task a good one? Over many data seeds: accuracy of the baseline, the oracle and the strategies.

    python bench/task_quality.py [--seeds 20] [--scale full]

Every file runs in a sandbox, as in a grading; times are not looked at here, so two run side by side. Printed at the end:
one line a requirement with PASS or FAIL; exit status 1 if any failed.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

import project_path  # noqa: F401
from runner.grading.sample import SampleSpec, run_sample, warm_sandbox
from runner.job.setup import build_spec, load_task
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings
from runner.tasks.problem import Case, generate, load_problem, to_bytes

PASSING = ("pairwise_gram", "pairwise_cdist", "pairwise_partition", "zscore")
FIRST_SEED = 0x5EED_0000_0000_0000_0000_0000_0000_0001
LEAK = 0.1

Answer = dict[str, np.ndarray]


class Lab:
    """Runs files of the task in sandboxes."""

    def __init__(self, scale: str) -> None:
        settings = Settings()
        self.task, self.scale = load_task(settings, "slow_ml_training_complex"), scale
        self.problem, self.engine = load_problem(self.task), find_engine(settings)
        self.spec, _ = build_spec(self.engine, self.task, settings, lambda step: print(step, file=sys.stderr))
        self.fleet = Fleet(self.engine, "task-quality")
        self.sources = {"baseline": self.task.baseline, "oracle": self.task.oracle or b""}
        for name in PASSING:
            self.sources[name] = (self.task.folder / "episodes" / "files" / f"{name}.py").read_bytes()

    def case(self, seed: int) -> Case:
        return generate(self.problem, self.task, self.scale, seed)

    def run(self, name: str, case: Case, cpuset: str) -> Answer:
        declared = self.task.input_arrays(self.scale)
        work = SampleSpec(
            task=self.task,
            sandbox=self.spec,
            layout=declared,
            inputs=to_bytes(case, declared),
            answer=self.task.answer_arrays(self.scale),
            deadline_s=600.0,
            preload=self.task.preloads(None),
        )
        with warm_sandbox(self.fleet, work, role="check", cpuset=cpuset) as sandbox:
            result = run_sample(sandbox, work, self.sources[name])
        assert result.arrays is not None, (name, result)
        return result.arrays

    def accuracy(self, case: Case, answer: Answer) -> float:
        return float(self.problem.score(case, answer).mean())


def of_train_images(case: Case) -> Case:
    """The same case with training images where the test images stand: so their features come out."""
    count = len(case.inputs["test_images"])
    inputs = {**case.inputs, "test_images": np.resize(case.inputs["train_images"], case.inputs["test_images"].shape)}
    return Case(inputs, {"labels": np.resize(case.inputs["train_labels"], count)})


def forward(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The network's forward pass in numpy: labels."""
    width = features.shape[1]
    hidden = (len(weights) - 10) // (width + 1 + 10)
    w1, b1, w2, b2 = np.split(weights, np.cumsum([hidden * width, hidden, 10 * hidden]))
    middle = features @ w1.reshape(hidden, width).T + b1
    labels: np.ndarray = (np.where(middle > 0, middle, LEAK * middle) @ w2.reshape(10, hidden).T + b2).argmax(axis=1)
    return labels


def simple_methods(case: Case, features: np.ndarray, train_features: np.ndarray) -> dict[str, float]:
    """Accuracy of what is not a network, on pixels and on features."""
    labels, hidden = case.inputs["train_labels"], case.hidden["labels"]
    pixels, test_pixels = (
        case.inputs[name].reshape(len(case.inputs[name]), -1) for name in ("train_images", "test_images")
    )
    some = labels[: len(train_features)]
    sets = {"pixels": (pixels, labels, test_pixels), "features": (train_features[: len(some)], some, features)}
    return {
        f"{title} on {where}": float(method().fit(x, y).score(x_test, hidden))
        for where, (x, y, x_test) in sets.items()
        for title, method in (
            ("linear classifier", lambda: LogisticRegression(max_iter=200)),
            ("nearest centroid", NearestCentroid),
        )
    }


def one_seed(lab: Lab, number: int, cpuset: str) -> tuple[dict[str, float], np.ndarray, np.ndarray, np.ndarray]:
    """Figures of one seed; and its weights, features and hidden labels."""
    case = lab.case(FIRST_SEED + number)
    answers = {name: lab.run(name, case, cpuset) for name in lab.sources}
    accuracy = {name: lab.accuracy(case, answer) for name, answer in answers.items()}
    figures = {"baseline": accuracy["baseline"]}
    figures["oracle agrees"] = float((answers["oracle"]["labels"] == answers["baseline"]["labels"]).mean())
    figures |= {f"{name} - baseline": accuracy[name] - accuracy["baseline"] for name in PASSING}
    train_features = lab.run("oracle", of_train_images(case), cpuset)["test_features"]
    figures |= simple_methods(case, answers["baseline"]["test_features"], train_features)
    print(f"seed {number}: " + ", ".join(f"{k} {v:.4f}" for k, v in figures.items()), file=sys.stderr, flush=True)
    return figures, answers["baseline"]["weights"], answers["baseline"]["test_features"], case.hidden["labels"]


def requirement(text: str, holds: bool) -> bool:
    print(f"{'PASS' if holds else 'FAIL'}  {text}")
    return holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--scale", default="full")
    options = parser.parse_args()
    lab = Lab(options.scale)
    with contextlib.closing(_Stopper(lab.fleet.stop)), ThreadPoolExecutor(lab.engine.facts.ncpu) as pool:
        cpus = [str(number % lab.engine.facts.ncpu) for number in range(options.seeds)]
        done = list(pool.map(one_seed, [lab] * options.seeds, range(options.seeds), cpus))
    figures = {key: np.array([figure[key] for figure, *_ in done]) for key in done[0][0]}
    foreign = [float((forward(done[i - 1][1], done[i][2]) == done[i][3]).mean()) for i in range(len(done))]
    figures["network of another seed"] = np.array(foreign)
    for key, values in figures.items():
        print(f"{key:32} mean {values.mean():+.4f}  lowest {values.min():+.4f}  highest {values.max():+.4f}")
    return 0 if all(list(requirements(lab, figures))) else 1


def requirements(lab: Lab, figures: dict[str, np.ndarray]):  # type: ignore[no-untyped-def]
    tolerance = lab.task.file.quality.tolerance or 0.0
    base = figures["baseline"]
    yield requirement("baseline accuracy within 0.80-0.95 on every seed", base.min() >= 0.80 and base.max() <= 0.95)
    yield requirement("oracle equal to the baseline on >= 99 % of the images", figures["oracle agrees"].min() >= 0.99)
    for name in PASSING:
        apart = figures[f"{name} - baseline"]
        yield requirement(f"{name}: mean within half the tolerance", abs(apart.mean()) <= tolerance / 2)
        yield requirement(f"{name}: each seed within the tolerance", apart.min() >= -tolerance)
    for name in [key for key in figures if " on " in key]:
        yield requirement(f"{name}: below the bar on every seed", bool((figures[name] < base - tolerance).all()))
    foreign = figures["network of another seed"]
    # Chance is 0.1; over all seeds its mean must lie within three standard errors of a network that knows nothing,
    # with twice the binomial spread for a single seed (images of one class share their mode).
    yield requirement("a network of another seed is at chance (mean 0.05-0.15)", 0.05 <= foreign.mean() <= 0.15)


class _Stopper:
    def __init__(self, close: Callable[[], None]) -> None:
        self.close = close


if __name__ == "__main__":
    sys.exit(main())
