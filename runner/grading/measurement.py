"""From samples to a measurement and a correctness, for one candidate. Pure."""

from collections.abc import Sequence

from runner.grading.intervals import round_difference, speedup
from runner.records.correctness import Correctness
from runner.records.measurement import Measurement
from runner.records.sample import Sample
from runner.task import QualitySection


def of_run(samples: Sequence[Sample], run: int) -> tuple[Sample, ...]:
    """A candidate's samples, and the baseline's of the rounds that it took part in."""
    rounds = {sample.round for sample in samples if sample.run == run and sample.side == "candidate"}
    return tuple(
        sample
        for sample in samples
        if sample.round in rounds and (sample.side == "baseline" or (sample.side == "candidate" and sample.run == run))
    )


def measurement(samples: Sequence[Sample], run: int, confidence: float, seeds: Sequence[int]) -> Measurement:
    """What the samples say about one candidate's speed; seeds[r-1] is round r's."""
    mine = of_run(samples, run)
    differences = _differences(mine)
    rounds = sorted({sample.round for sample in mine})
    return Measurement(
        samples=mine,
        speedup=speedup(differences, confidence) if differences else None,
        baseline_s=_mean([s.seconds for s in mine if s.side == "baseline" and s.ending == "answered"]),
        candidate_s=_mean([s.seconds for s in mine if s.side == "candidate" and s.ending == "answered"]),
        seeds=tuple(seeds[number - 1] for number in rounds),
    )


def _differences(samples: Sequence[Sample]) -> list[float]:
    """d_r of every round in which both sides answered."""
    found = []
    for number in sorted({sample.round for sample in samples}):
        sides = {
            side: [s.seconds for s in samples if s.round == number and s.side == side and s.ending == "answered"]
            for side in ("baseline", "candidate")
        }
        if sides["baseline"] and sides["candidate"]:
            found.append(round_difference(sides["baseline"], sides["candidate"]))
    return found


def correctness(samples: Sequence[Sample], quality: QualitySection) -> Correctness:
    """What the samples of one candidate say about its quality."""
    values = {
        side: _mean([s.quality for s in samples if s.side == side and s.quality is not None])
        for side in ("baseline", "candidate")
    }
    bar = quality.minimum
    if quality.tolerance is not None and values["baseline"] is not None:
        bar = values["baseline"] - quality.tolerance
    return Correctness(quality.name, values["baseline"], values["candidate"], bar, quality.tolerance)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
