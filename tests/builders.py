"""Small records for tests: every one whole, so that a test names only what it is about; and what an engine sends."""

from dataclasses import replace

from runner.records.episode import EpisodeSummary
from runner.records.grading import Finding, Grading, Interval, Measurement, Quality, Rules
from runner.records.outcome import Outcome, OutcomeKind
from runner.records.run import Run, SubmissionRecord

ENGINE_INFO = {"NCPU": 2, "MemTotal": 2**33}  # the least that an engine says of itself
RULES = Rules(
    target=33.0, confidence=0.95, quality="Accuracy", tolerance=0.02, minimum=None, rounds_max=12, seconds_max=3600.0
)
MEASUREMENT = Measurement(
    samples=(),
    speedup=Interval(estimate=51.234, low=47.5, high=55.1, confidence=0.97, rounds=3),
    baseline_s=15.0,
    candidate_s=0.29,
    seeds=(1, 2, 3),
)
QUALITY = Quality(name="Accuracy", baseline=0.9, candidate=0.8998, bar=0.88, tolerance=0.02)
SUBMISSION = SubmissionRecord(path="./x.py", sha256="0" * 64, bytes=1, stored_at="output/j/run_1/x.py")


def multiplexed(content: bytes) -> bytes:
    """As an engine sends what a guest writes to its standard output."""
    return b"\x01\0\0\0" + len(content).to_bytes(4, "big") + content


def make_outcome(kind: str = "passed", reason: str = "because of this") -> Outcome:
    """An outcome by the name of its kind."""
    return Outcome(OutcomeKind(kind), reason)


def make_grading(
    kind: str = "passed",
    *findings: Finding,
    reason: str = "because of this",
    measurement: Measurement | None = MEASUREMENT,
    quality: Quality | None = QUALITY,
    rules: Rules | None = RULES,
) -> Grading:
    """A grading that came to this."""
    return Grading(
        outcome=make_outcome(kind, reason), findings=findings, measurement=measurement, quality=quality, rules=rules
    )


def make_run(number: int = 1, grading: Grading | None = None, episode: EpisodeSummary | None = None) -> Run:
    """A run whose submission was graded."""
    grading = grading or make_grading()
    return Run(number=number, outcome=grading.outcome, grading=grading, episode=episode, submission=SUBMISSION)


def make_ungraded(number: int = 1, kind: str = "no_submission", reason: str = "because of this") -> Run:
    """A run that left nothing to grade."""
    return Run(number=number, outcome=make_outcome(kind, reason))


def make_measured_run(number: int, kind: str, speedup: Interval) -> Run:
    """A run that ended so, at a measured speed."""
    measurement = replace(MEASUREMENT, speedup=speedup)
    return make_run(number, make_grading(kind, measurement=measurement))
