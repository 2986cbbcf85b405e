"""What only measuring tells of a job: what each part gave, what no run tried, where time goes, and how it grows."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from runner.records.grading import Interval

# Share of a whole that noise may hide where parts are said to add up to it. chosen: with less, the saying is worth nothing.
HIDDEN_MAX = 0.25
REST = "everything else"  # in place of a part's name: what of a file is in no part that could be put back


class Study(StrEnum):
    """What can be measured of a job after it has ended."""

    ABLATION = "ablation"  # what each part of a file gave
    MISSED = "missed"  # what came of ways that no passed run took
    PROFILE = "profile"  # where the baseline and the best file spend their time, and how it grows


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval (Student's t over rounds).

    Attributes:
        value: the mean over the rounds.
        low, high: the bounds; None where there are too few rounds for any.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half of the interval; None without one."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2.0

    @property
    def holds_zero(self) -> bool:
        """Whether it cannot be told from nothing."""
        return self.low is None or self.high is None or self.low <= 0.0 <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class PartGain:
    """What one part of a file gave: the file against the same with this part put back to the baseline's version.

    Attributes:
        part: its name, or `REST`.
        definitions: what was put back.
        gain: its part of the log of the speed-up; these add up. None where it was not measured.
        slowdown: how many times as long the file takes without it.
        outcome: what came of the file without it, by the rules of a grading without a target; empty where none was made.
        reason: why it was not measured, or does not count; may be hostile text.
    """

    part: str
    definitions: tuple[str, ...] = ()
    gain: Estimate | None = None
    slowdown: Estimate | None = None
    outcome: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """What parts gave together, over what each gave alone.

    Attributes:
        parts: their names.
        gain: of the log of the speed-up; below zero where they save the same time twice.
    """

    parts: tuple[str, ...]
    gain: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """A file's speed-up, taken apart.

    The log of the speed-up is the sum of `parts`, `interactions` and `remainder`. A part's share is the time that it saved,
    over the logarithmic mean of the baseline's time and the file's (the additive form of the logarithmic mean Divisia index;
    Ang, 2004).

    Attributes:
        title: whose file it is and why it was taken, such as `run 3, best`.
        run: its number; 0 for the task's solution.
        sha256: of the file.
        rounds: how many were measured.
        speedup: against the baseline, in the same rounds.
        whole: the log of it.
        parts: what each gave.
        interactions: of two parts, measured where the parts alone do not add up.
        remainder: what is left of the whole: nothing, or more than can be named.
        complete: every bit of the file is in some part that was measured: `remainder` is then a finding, else a catch-all.
        reason: why nothing could be measured; empty where something was.
    """

    title: str
    run: int
    sha256: str
    rounds: int = 0
    speedup: Estimate | None = None
    whole: Estimate | None = None
    parts: tuple[PartGain, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    remainder: Estimate | None = None
    complete: bool = False
    reason: str = ""

    @property
    def adds_up(self) -> bool | None:
        """Whether parts and named interactions give the whole within the noise; None where that cannot be told.

        It cannot where some of the file is in no part that was measured, and where the noise would hide much of the whole.
        """
        left, whole = self.remainder, self.whole
        if not self.complete or left is None or whole is None:
            return None
        if left.holds_zero and (left.half_width is None or left.half_width > HIDDEN_MAX * abs(whole.value)):
            return None
        return left.holds_zero


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedWay:
    """A way to solve a part that no run took, or only runs that failed, put into the best run's file and graded.

    Attributes:
        part, way, title: of the task's strategies.
        source: `solution`, or `donor` for code that the task keeps for this.
        failed_runs: that took it; empty where no run did.
        into: the run whose file it was put into.
        outcome: the verdict on that file; empty where it could not be made.
        reason: why it could not be made, or the verdict's own; may be hostile text.
        speedup: of that file.
        quality, quality_baseline: means of both sides.
    """

    part: str
    way: str
    title: str
    source: str
    failed_runs: tuple[int, ...] = ()
    into: int = 0
    outcome: str = ""
    reason: str = ""
    speedup: Interval | None = None
    quality: float | None = None
    quality_baseline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where a file spends its time, seen by a thread that looks at it every few milliseconds.

    Attributes:
        title, run, sha256: as in `Ablation`; run -1 is the baseline.
        scale: of the data.
        size: bytes of the inputs.
        seconds: wall clock of each call, not comparable with a grading's.
        samples: how often it was looked at in each call.
        shares: for each call, by part or definition, the share of the time that was spent in it.
        reason: why there is none; empty where there is.
    """

    title: str
    run: int
    sha256: str
    scale: str
    size: int
    seconds: tuple[float, ...] = ()
    samples: tuple[int, ...] = ()
    shares: tuple[Mapping[str, float], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How the time of a part grows with the size of the inputs: seconds ~ size ** exponent.

    Attributes:
        title: of the profiled file.
        part: its name, or a definition's.
        exponent: fitted to the calls at all scales; None where they do not tell.
        reason: why not.
    """

    title: str
    part: str
    exponent: Estimate | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of a job after it had ended, as far as it is there."""

    ablations: tuple[Ablation, ...] = ()
    missed: tuple[MissedWay, ...] = ()
    profiles: tuple[Profile, ...] = ()
    growth: tuple[Growth, ...] = ()
