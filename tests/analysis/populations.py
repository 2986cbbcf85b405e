"""Made-up populations of submissions and jobs whose truth is known: for tests, and for `bench/analysis.py`."""

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.job.parse import read_facts
from runner.records.grading import Interval
from runner.records.run import Run
from runner.records.syntax import SyntaxFacts
from runner.report.analysis.targets import TargetCurve, rate_at, target_curve
from tests.analysis.variants import aliased, annotated, commented, reformatted, renamed, reordered
from tests.builders import make_measured_run, make_ungraded

# What changes nothing in a program, and so no figure: a wrapper is a change of the program.
DRESSES: tuple[Callable[[str], str], ...] = (str, renamed, reordered, reformatted, commented, annotated, aliased)
STARTER = "import numpy as np\n\n\ndef simulate(points):\n    return {'total': np.array(0.0)}\n"
FUNCTIONS = (
    "sort argsort cumsum cumprod diff abs exp log sqrt square hypot arctan2 histogram bincount unique einsum dot matmul "
    "outer kron where clip roll flip pad tile repeat searchsorted digitize interp convolve correlate gradient median "
    "percentile quantile partition ptp std var floor rint fft.rfft linalg.norm linalg.qr linalg.svd linalg.solve"
).split()
FORMS = (
    "np.{f}({x})", "np.{f}({x}, {y})", "np.{f}({x}, axis={n})", "np.{f}({x} - {y})", "{x}[{n}:] * np.{f}({y})",
    "np.{f}({x}.T @ {y})", "np.{f}({x}[:, None] > {y}) / {n}", "[np.{f}(v) for v in {x}]",
)  # fmt: skip
STATEMENTS = 14  # of a made-up program


def inside_parser() -> Callable[[str, Mapping[str, Any]], SyntaxFacts]:
    """The text that parses in the sandbox, run here, on what the tests wrote themselves."""
    inside: dict[str, Any] = {}
    exec((Path(__file__).parents[2] / "runner" / "sandbox" / "inside" / "syntax.py").read_text(), inside)
    return lambda source, rules: read_facts(json.dumps(inside["syntax_of"](source.encode(), dict(rules))).encode())


def program(family: int) -> str:
    """A program of its own for each number: statements drawn from many, with numbers of their own."""
    rng = random.Random(family)
    lines, names = [], ["points"]
    for place in range(STATEMENTS):
        name = f"v{place}"
        form, function = rng.choice(FORMS), rng.choice(FUNCTIONS)
        call = form.format(f=function, x=rng.choice(names), y=rng.choice(names), n=rng.randrange(1, 1000))
        lines.append(f"    {name} = {call}")
        names.append(name)
    helper = f"def tidy(values):\n    return values - values.min() * {rng.randrange(1, 1000)}\n"
    body = "\n".join(lines)
    return f"import numpy as np\n\n\ndef simulate(points):\n{body}\n    return {{'total': tidy({names[-1]})}}\n\n\n{helper}"


def population(families: int, variants: int, first: int = 0) -> Iterator[tuple[int, str]]:
    """(family, source) of so many families, each in so many dresses."""
    for family in range(first, first + families):
        for variant in range(variants):
            yield family, DRESSES[variant % len(DRESSES)](program(family))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A known truth about jobs.

    Attributes:
        runs: of a job.
        failing: share of runs that fail whatever the target is.
        low, high: the bounds of the others are drawn evenly from here, on the scale of logarithms; ratios.
    """

    runs: int
    failing: float
    low: float
    high: float

    def rate(self, target: float) -> float:
        """The true pass rate at a target."""
        above = 1.0 - math.log(target / self.low) / math.log(self.high / self.low)
        return (1.0 - self.failing) * min(1.0, max(0.0, above))

    def job(self, rng: random.Random) -> list[Run]:
        """The runs of a job of this world."""
        return [self._run(number, rng) for number in range(1, self.runs + 1)]

    def _run(self, number: int, rng: random.Random) -> Run:
        if rng.random() < self.failing:
            return make_ungraded(number)
        low = self.low * (self.high / self.low) ** rng.random()
        bounds = Interval(estimate=1.1 * low, low=low, high=1.2 * low, confidence=0.95, rounds=3)
        return make_measured_run(number, "passed", bounds)


WORLDS = (
    World(runs=5, failing=0.2, low=5.0, high=80.0),
    World(runs=10, failing=0.3, low=10.0, high=110.0),
    World(runs=30, failing=0.6, low=2.0, high=40.0),
)


def is_covered(curve: TargetCurve, world: World) -> bool:
    """Whether the band holds the whole true curve, at targets between, below and above those that were measured."""
    edges = [point.target for point in curve.points]
    targets = [world.low * 0.5, world.low, world.high, world.high * 2.0, *edges, *(edge * (1 + 1e-9) for edge in edges)]
    return all(abs(rate_at(curve, target) - world.rate(target)) <= curve.half_width for target in targets)


def coverage(world: World, jobs: int, seed: int = 1) -> float:
    """The share of jobs whose band holds the whole true curve."""
    rng = random.Random(seed)
    curves = [target_curve(world.job(rng), world.low) for _ in range(jobs)]
    return sum(curve is not None and is_covered(curve, world) for curve in curves) / jobs


# A job on disk


def write_job(folder: Path, template: Path, runs: int, sources: Sequence[str]) -> Path:
    """A job of so many runs in a folder: the first run's records of a template, over and over, with these submissions."""
    results = json.loads((template / "results.json").read_text())
    run, transcript = results["runs"][0], (template / "run_1" / "transcript.jsonl").read_text()
    file = Path(run["submission"]["stored_at"]).name
    results["job"]["runs"] = runs
    results["runs"] = [{**run, "number": number} for number in range(1, runs + 1)]
    for number in range(1, runs + 1):
        own = folder / f"run_{number}"
        own.mkdir(parents=True)
        (own / "transcript.jsonl").write_text(transcript)
        (own / file).write_text(sources[number % len(sources)])
    (folder / "results.json").write_text(json.dumps(results))
    return folder
