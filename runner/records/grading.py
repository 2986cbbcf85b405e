"""A grading: its samples and findings, what they say about speed and quality, and the rules of the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from runner.records.outcome import Outcome

Side = Literal["baseline", "candidate", "sentinel", "control", "repeat"]
Origin = Literal["host", "engine", "guest"]


class Ending(StrEnum):
    """How a sample ended."""

    ANSWERED = "answered"
    CUT = "cut"  # stopped by the host because it was already far too slow
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    BAD_ANSWER = "bad_answer"

    @property
    def words(self) -> str:
        """As a reader likes it: "out of memory"."""
        return self.value.replace("_", " ")


HOST, ENGINE, GUEST = ({"origin": origin} for origin in ("host", "engine", "guest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was seen of one call; each field says where it comes from.

    Origins: `host` (its clock, its keys, its decisions), `engine` (its accounting, outside the container), `guest` (claimed
    by the container: shown, and never used for a verdict).

    Attributes:
        side: whose file ran; the sentinel is the oracle's, counts for nobody and shows the host's noise; a control is a
            candidate's on data whose right outcome is known, and is not timed; a repeat is a candidate's once more, on
            the same data, because one of its samples of the round was far slower than its others.
        run: the run that the candidate belongs to; 0 for the other sides.
        round: number of the round, from 1. One without a baseline sample is an audit: further data for a file that is
            about to pass.
        position: order within the round, from 0.
        ending: how it ended; a sample that was cut counts for time.
        seconds: host monotonic clock, from *go* to the last byte of the complete answer (or to the end that came instead).
        quality: mean of the answer's quality values; None without an answer.
        cpuset: where it ran.
        started_s: seconds since the grading began.
        cpu_s: CPU seconds of the whole container from *go* on; None where they could not be read, as below.
        throttled_s: seconds in which its CPU quota held it back.
        memory_peak_bytes: highest memory use of the container.
        pids_peak: most processes and threads at one time.
        written_bytes: to disks, by the whole container; what goes to a tmpfs shows as memory.
        load: the host's load average over one minute, at the end.
        steal_s: CPU seconds that the hypervisor took from the measuring CPU meanwhile.
        others_s: CPU seconds that the measuring CPU worked for processes outside the container, or was taken away.
        others_unit_s: the part of a second that `others_s` is told to: less than a tick of 10 ms where the kernel counts
            finer; None: ticks.
        mhz: frequency of the measuring CPU.
        detail: what went wrong, in the guest's words where it had some: hostile text.
    """

    side: Side = field(metadata=HOST)
    run: int = field(metadata=HOST)
    round: int = field(metadata=HOST)
    position: int = field(metadata=HOST)
    ending: Ending = field(metadata=HOST)
    seconds: float = field(metadata=HOST)
    quality: float | None = field(default=None, metadata=HOST)
    cpuset: str = field(default="", metadata=HOST)
    started_s: float = field(default=0.0, metadata=HOST)
    cpu_s: float | None = field(default=None, metadata=ENGINE)
    throttled_s: float | None = field(default=None, metadata=ENGINE)
    memory_peak_bytes: int | None = field(default=None, metadata=ENGINE)
    pids_peak: int | None = field(default=None, metadata=ENGINE)
    written_bytes: int | None = field(default=None, metadata=ENGINE)
    load: float | None = field(default=None, metadata=HOST)
    steal_s: float | None = field(default=None, metadata=HOST)
    others_s: float | None = field(default=None, metadata=HOST)
    others_unit_s: float | None = field(default=None, metadata=HOST)
    mhz: float | None = field(default=None, metadata=HOST)
    detail: str = field(default="", metadata=GUEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A ratio baseline / candidate.

    Attributes:
        estimate: geometric mean over the rounds.
        low: lower confidence bound; None where there are too few rounds for an interval.
        high: upper confidence bound; None likewise.
        confidence: of the bounds at this look, two-sided, corrected for looking more than once.
        rounds: how many rounds it rests on.
        resolution: the smallest factor from the target that could have been told at this look; None without bounds.
    """

    estimate: float
    low: float | None
    high: float | None
    confidence: float
    rounds: int
    resolution: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """All samples of one candidate, and of the baseline beside it.

    Attributes:
        speedup: None when no round has a time from both sides.
        baseline_s, candidate_s: mean seconds of the timed samples (a cut one counts with its limit); None without any.
        median_ratio: median over the rounds of baseline / candidate.
        total_ratio: sum of the baseline's times over the sum of the candidate's mean times.
        slowest_over_median: the candidate's slowest sample over its median one.
        drift: the baseline's last time over its first; None with fewer than two.
        seeds: the data seed of each round, to replay a grading.
        audit: the ratio over all data sets, those without a baseline included; None where there are no such.
    """

    samples: tuple[Sample, ...]
    speedup: Interval | None
    baseline_s: float | None
    candidate_s: float | None
    seeds: tuple[int, ...]
    median_ratio: float | None = None
    total_ratio: float | None = None
    slowest_over_median: float | None = None
    drift: float | None = None
    audit: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRound:
    """One data set.

    Attributes:
        round: its number.
        baseline: its mean quality over items and samples; None where it did not answer this data set (an audit).
        candidate: its mean quality over items and samples.
        difference: candidate minus baseline (or minus the minimum).
        variance: of that difference, as the spread over the items of this data set makes it; in an audit, what is not known
            of the baseline's quality on it is added.
    """

    round: int
    baseline: float | None
    candidate: float
    difference: float
    variance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What the judged samples say about a candidate's quality.

    Attributes:
        name: what the task calls its quality (Accuracy).
        baseline: its mean over the rounds; None without an answer.
        candidate: its mean over the rounds; None without an answer.
        bar: the lowest candidate value that is accepted; None without a baseline answer.
        tolerance: how far below the baseline is accepted; None where the task sets a minimum instead.
        low: lower bound of the difference (candidate minus baseline or minimum); None without an answer.
        high: upper bound of the same difference; None without an answer.
        rounds: one entry a data set.
    """

    name: str
    baseline: float | None
    candidate: float | None
    bar: float | None
    tolerance: float | None
    low: float | None = None
    high: float | None = None
    rounds: tuple[QualityRound, ...] = ()

    @property
    def difference(self) -> float | None:
        """Candidate minus baseline, signed."""
        if self.baseline is None or self.candidate is None:
            return None
        return self.candidate - self.baseline

    @property
    def accurate(self) -> bool | None:
        """Whether the quality is told to reach the bar (True) or to miss it (False); None while it is not told."""
        if self.low is None or self.high is None:
            return None
        allowed = -(self.tolerance or 0.0)
        if self.low >= allowed:
            return True
        return False if self.high < allowed else None


Mark = Literal["pass", "fail", "warn", "unchecked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check on one submission.

    Attributes:
        check: the check's name, as the documentation lists it, such as `component-works`.
        subject: `safety` (an `unsafe` outcome when it fails), `component` (`missing_component`), `form` (`crashed`), `time`
            (`timed_out`), `equivalence` (`not_equivalent`), `answer` (`bad_answer`) or `build` (`build_failed`).
        mark: `warn` is advice and decides nothing, unless the rules are strict. `unchecked`: the check could not be made,
            and `text` says why; never a pass where the rules name it (`Rules.obligations`).
        text: one sentence; may hold names from the submission, so hostile text.
        evidence: figures or names behind it; hostile text, too.
        origin: `text` (a parser inside a sandbox, before anything of the file ran), `data` (values that came out,
            compared on the host) or `engine` (its accounting).
        about: what of the submission it is about, where a check looks at several things: a component (`ComplexNN`) or a
            method of one (`ComplexNN.forward`); else empty.
        switched_off: it would be a failure, but the rules about texts were switched off: `mark` is `warn`.
    """

    check: str
    subject: Literal["safety", "component", "form", "time", "equivalence", "answer", "build"]
    mark: Mark
    text: str
    evidence: str = ""
    origin: Literal["text", "data", "engine"] = "text"
    about: str = ""
    switched_off: bool = False

    @property
    def name(self) -> str:
        """The check, and what it is about: `component-works:ComplexNN.forward`."""
        return f"{self.check}:{self.about}" if self.about else self.check

    @property
    def component(self) -> str:
        """The component that it is about; empty where it is about none."""
        return self.about.partition(".")[0]


class Equivalence(StrEnum):
    """What becomes of a component that computes something other than the baseline's."""

    OFF = "off"  # nothing: it is not compared
    REPORTED = "reported"  # advice
    REQUIRED = "required"  # `not_equivalent`

    @classmethod
    def _missing_(cls, value: object) -> "Equivalence | None":
        """The names of earlier versions."""
        return {"report": cls.REPORTED, "enforce": cls.REQUIRED}.get(str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a calibration found about the noise of a host, as far as a verdict uses it.

    Attributes:
        id: names the certificate's file.
        variance: of d_r, the log ratio of one round of this task at this scale.
        df: degrees of freedom of that variance.
        sentinel_log_mean: mean of the sentinel's times (natural log of seconds) while it was made.
        sentinel_log_sd: standard deviation of the same.
        slot: which of the gradings that measured at once it is for, from 1.
        slots: how many measured at once; 1: nothing else was measured.
        cpus: all CPUs of the slot, as a cpuset; empty for the only one.
    """

    id: str
    variance: float
    df: int
    sentinel_log_mean: float
    sentinel_log_sd: float
    slot: int = 1
    slots: int = 1
    cpus: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a submission is held to.

    Attributes:
        target: speed-up asked for, a ratio; None where quality alone counts.
        confidence: of a verdict on either side of the target, 0.5 to 1.
        quality: what the task calls its quality.
        tolerance: how far the quality may lie below the baseline's; None where there is a minimum.
        minimum: the lowest quality that is accepted; None where there is a tolerance.
        rounds_max: most rounds of one grading.
        seconds_max: seconds of one grading after which no further round begins, except for runs whose share of the time
            others took.
        equivalence: what becomes of a component that computes something other than the baseline's; None: what the task
            says of each.
        strict: equivalence is required, and every warning fails.
        attempts: how many gradings of one submission share the error; each gets an equal part.
        attempt: which of them this is, from 1.
        certificate: of this host; None where there is no valid one.
        no_certificate: why none is used.
        edition: of the rules that doubt is judged by, so that a record is always judged by its own. 1: doubt is
            `inconclusive`. 2: doubt that the submission makes itself counts, and a slow sample is repeated. 3: on a busy
            host a pass must hold without the time that others had, too. 4: a data set on which a file is slow by that time
            alone is the host's doubt; who is too slow is told of a control that was not made. 5: repetitions that differ by
            the submission's own doing count, and so does a speed that is in doubt by that, where the quality is open, too.
        data_sets: on how many data sets, at the least, a submission must have been seen before it passes; 1: no audit.
        obligations: the checks, by `Finding.name`, that must have been made and passed before a submission passes: all that
            the task defines. Empty in records of editions that took a check which was not made for passed.
        repetitions: how many gradings of the file must agree where no time decides; 0: rounds beside a baseline decide.
    """

    target: float | None
    confidence: float
    quality: str
    tolerance: float | None
    minimum: float | None
    rounds_max: int
    seconds_max: float
    equivalence: Equivalence | None = None
    strict: bool = False
    attempts: int = 1
    attempt: int = 1
    certificate: Certificate | None = None
    no_certificate: str = "none was made"
    edition: int = 1
    data_sets: int = 1
    obligations: tuple[str, ...] = ()
    repetitions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grading:
    """A submission with its verdict, and everything that it follows from.

    Attributes:
        outcome: the verdict, or the fault of the host that kept the submission from one.
        rules: what it was held to; with findings, samples and scores they give the verdict again. None after a host fault.
        notes: what happened on the way (a round that was repeated, a certificate that was dropped).
        enforced: for `baseline` and `candidate`: what the engine said it enforced, placement masked.
        preloaded: for `baseline` and `candidate`: modules that were imported before the clock started.
    """

    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    measurement: Measurement | None = None
    quality: Quality | None = None
    rules: Rules | None = None
    notes: tuple[str, ...] = ()
    enforced: Mapping[str, Any] = field(default_factory=dict)
    preloaded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class GradingPhase(StrEnum):
    """What a grading is doing."""

    WAITING = "waiting"  # another grading measures; nothing is frozen yet
    CHECKING = "checking"
    WARMING = "warming"
    MEASURING = "measuring"
    NOTE = "note"  # says something; what is being done has not changed
    REPEATED = "repeated"  # a note that a busy host has by the dozen: it is in the records, and in no plain line


@dataclass(frozen=True, slots=True)
class GradingStep:
    """A step of a grading, as the log keeps it and the progress display shows it.

    Attributes:
        text: one sentence.
        round_number: from 1; 0 outside of the rounds.
    """

    phase: GradingPhase
    text: str
    round_number: int = 0

    def __str__(self) -> str:
        return self.text
