"""Rules: by what a grading was judged; with samples, findings and qualities they give the verdict again."""

from dataclasses import dataclass
from typing import Literal

Equivalence = Literal["off", "report", "enforce"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a calibration found about the noise of a host, as far as a verdict uses it.

    Attributes:
        id: names the certificate's file.
        variance: of d_r, the log ratio of one round of this task at this scale.
        df: degrees of freedom of that variance.
        sentinel_log_mean, sentinel_log_sd: the sentinel's times (log of seconds) while it was made.
    """

    id: str
    variance: float
    df: int
    sentinel_log_mean: float
    sentinel_log_sd: float


@dataclass(frozen=True, slots=True)
class Rules:
    """What a submission is held to.

    Attributes:
        target: speed-up asked for, a ratio; None where quality alone counts.
        tolerance, minimum: of the quality; one of them is None.
        attempts: how many gradings of one submission share the error; each gets an equal part.
        attempt: which of them this is, from 1.
        certificate: of this host, if there is a valid one; else the reason why none is used.
    """

    target: float | None
    confidence: float
    quality: str
    tolerance: float | None
    minimum: float | None
    rounds_max: int
    seconds_max: float
    equivalence: Equivalence = "report"
    strict: bool = False
    attempts: int = 1
    attempt: int = 1
    certificate: Certificate | None = None
    no_certificate: str = "none was made"
