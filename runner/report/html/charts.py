"""The figures of a page as records: where each mark lies, in percent across and in pixels down. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.records.grading import Ending, Sample
from runner.records.outcome import PROPERTIES, OutcomeKind
from runner.records.run import Run
from runner.report.analysis.effort import Effort
from runner.report.analysis.targets import TargetCurve, TargetRange, rate_at
from runner.report.html.scales import LogScale, Tick
from runner.report.run_view import RunSummary, seconds_words

# Pixels. chosen: a line of text each, and half of it where there are more runs than fit on two screens.
ROW, DENSE_ROW, DENSE_FROM = 24, 12, 60
PLOT = 220  # pixels; chosen: half a phone's screen
DOTS_MAX, NAMED_DOTS_MAX = 20_000, 2_000  # chosen: about a megabyte of marks, and a tenth of one of words

# What an episode's seconds go to, by their class.
BARS = {"asking the model": "asking", "reading": "reading", "editing": "editing", "running": "running"}
TONES = {"green": "good", "red": "bad", "yellow": "doubt"}


def tone_of(kind: OutcomeKind | None) -> str:
    """The class of an outcome's colour; of one that is not known yet, that of doubt."""
    return "doubt" if kind is None else TONES[PROPERTIES[kind].colour]


# Speed-up intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalRow:
    """A run's speed-up: `low` to `high` around `at`, in percent across; no bounds where there was one round only.

    Attributes:
        y: middle of its row, pixels.
        estimate, bounds: ratios, as the record has them.
    """

    run: int
    tone: str
    words: str
    y: int
    at: float
    low: float | None
    high: float | None
    estimate: float
    bounds: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalChart:
    """The measured speed-ups, the fastest first.

    Attributes:
        target: in percent; None where quality alone counts.
        unmeasured: runs without a speed-up.
    """

    rows: tuple[IntervalRow, ...]
    ticks: tuple[Tick, ...]
    target: float | None
    height: int
    dense: bool
    unmeasured: tuple[int, ...]


def interval_chart(runs: Sequence[Run], target: float | None) -> IntervalChart:
    """The speed-ups of a job's runs against its target."""
    measured = [(run.speedup, run) for run in runs if run.speedup is not None and run.speedup.estimate > 0.0]
    measured.sort(key=lambda entry: (-entry[0].estimate, entry[1].number))
    bounds = [(speedup.low, speedup.estimate, speedup.high, target) for speedup, _ in measured]
    scale = LogScale.over(value for entry in bounds for value in entry if value is not None)
    dense = len(measured) > DENSE_FROM
    height = DENSE_ROW if dense else ROW
    rows = []
    for place, (speedup, run) in enumerate(measured):
        known = None if speedup.low is None or speedup.high is None else (speedup.low, speedup.high)
        rows.append(
            IntervalRow(
                run=run.number,
                tone=tone_of(run.outcome.kind),
                words=run.outcome.kind.words,
                y=height * place + height // 2,
                at=scale.at(speedup.estimate),
                low=None if known is None else scale.at(known[0]),
                high=None if known is None else scale.at(known[1]),
                estimate=speedup.estimate,
                bounds=known,
            )
        )
    return IntervalChart(
        rows=tuple(rows),
        ticks=scale.ticks("x"),
        target=None if target is None else scale.at(target),
        height=height * len(rows),
        dense=dense,
        unmeasured=tuple(run.number for run in runs if run.speedup is None),
    )


# Pass rate against target


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStep:
    """A piece of the curve over which the rate stays the same; x in percent, y in pixels from the top."""

    x: float
    width: float
    y: float
    band_y: float
    band_height: float
    next_y: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetChart:
    """The pass rate as a function of the target, as steps with their band.

    Attributes:
        target, rate: where the job's target lies, and the rate that it gives, 0 to 1.
        wanted_rates: pixels.
        wanted: start and width of the targets that give them, percent; None where none does.
    """

    steps: tuple[TargetStep, ...]
    ticks: tuple[Tick, ...]
    rates: tuple[Tick, ...]
    target: float | None
    target_y: float
    rate: float
    wanted_rates: tuple[float, float]
    wanted: tuple[float, float] | None
    height: int


def target_chart(
    curve: TargetCurve, wanted: tuple[float, float], found: TargetRange | None = None
) -> TargetChart | None:
    """The chart of a curve; None where no run was measured.

    Args:
        wanted: lowest and highest rate that is wanted of the task.
        found: the targets that give one of these.
    """
    if not curve.points:
        return None
    points = sorted(curve.points, key=lambda point: point.target)
    scale = LogScale.over([*(point.target for point in points), curve.target or points[0].target])
    edges = [0.0, *(scale.at(point.target) for point in points), 100.0]
    rates = [*((p.rate, p.low, p.high) for p in points), (0.0, 0.0, min(1.0, curve.half_width))]
    steps = []
    for place, (rate, low, high) in enumerate(rates):
        following = rates[place + 1][0] if place + 1 < len(rates) else None
        steps.append(
            TargetStep(
                x=edges[place],
                width=round(edges[place + 1] - edges[place], 2),
                y=_down(rate),
                band_y=_down(high),
                band_height=round(_down(low) - _down(high), 1),
                next_y=None if following is None else _down(following),
            )
        )
    rate = 0.0 if curve.target is None else rate_at(curve, curve.target)
    return TargetChart(
        steps=tuple(steps),
        ticks=scale.ticks("x"),
        rates=tuple(Tick(at=_down(share), words=f"{100 * share:.0f} %") for share in (0.0, 0.25, 0.5, 0.75, 1.0)),
        target=None if curve.target is None else scale.at(curve.target),
        target_y=_down(rate),
        rate=rate,
        wanted_rates=(_down(wanted[0]), _down(wanted[1])),
        wanted=_span(scale, found),
        height=PLOT,
    )


def _span(scale: LogScale, found: TargetRange | None) -> tuple[float, float] | None:
    if found is None or found.low is None or found.high is None:
        return None
    start = scale.at(found.low) if found.low > 0.0 else 0.0
    return start, round(scale.at(found.high) - start, 2)


def _down(share: float) -> float:
    return round(PLOT * (1.0 - share), 1)


# Samples in time order


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A sample: x in percent, y in pixels; `kind` is its side, and `answered` whether it came to an answer.

    Attributes:
        words: what it is, for who points at it; empty where there are too many.
    """

    x: float
    y: float
    kind: str
    answered: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRow:
    """The samples of one side in one round of a batch, as figures; `run` is 0 for a side that is nobody's."""

    batch: int
    round: int
    side: str
    run: int
    seconds: tuple[float, ...]
    endings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleChart:
    """Every sample in the order in which it was taken.

    Attributes:
        separators: where a round ends, percent.
        left_out: how many samples are not drawn.
    """

    dots: tuple[Dot, ...]
    rows: tuple[SampleRow, ...]
    separators: tuple[float, ...]
    ticks: tuple[Tick, ...]
    batches: int
    height: int
    left_out: int


def sample_chart(runs: Sequence[Run]) -> SampleChart | None:
    """The chart of all samples; None where there are none."""
    batches = _batches(runs)
    ordered = [(number, sample) for number, batch in enumerate(batches, 1) for sample in batch]
    drawn = ordered[:DOTS_MAX]
    if not drawn:
        return None
    scale = LogScale.over(sample.seconds for _, sample in drawn)
    step = 100.0 / len(drawn)
    rounds = [(batch, sample.round) for batch, sample in drawn]
    breaks = [place for place in range(1, len(rounds)) if rounds[place] != rounds[place - 1]]
    return SampleChart(
        dots=tuple(
            Dot(
                x=round(step * (place + 0.5), 2),
                y=_log_down(scale, sample.seconds),
                kind=sample.side,
                answered=sample.ending is Ending.ANSWERED,
                words=_dot_words(sample) if len(drawn) <= NAMED_DOTS_MAX else "",
            )
            for place, (_, sample) in enumerate(drawn)
        ),
        rows=tuple(_sample_rows(drawn)),
        separators=tuple(round(step * place, 2) for place in breaks),
        ticks=tuple(Tick(at=round(PLOT * (1 - tick.at / 100), 1), words=tick.words) for tick in scale.ticks(" s")),
        batches=len(batches),
        height=PLOT,
        left_out=len(ordered) - len(drawn),
    )


def _dot_words(sample: Sample) -> str:
    whose = f"Run {sample.run}, {sample.side}" if sample.run else sample.side.capitalize()
    end = "" if sample.ending is Ending.ANSWERED else f", {sample.ending.words}"
    return f"{whose}, round {sample.round}: {seconds_words(sample.seconds)}{end}"


def _log_down(scale: LogScale, seconds: float) -> float:
    return round(PLOT * (1.0 - scale.at(max(seconds, scale.low)) / 100.0), 1)


def _batches(runs: Sequence[Run]) -> list[list[Sample]]:
    """The samples of runs that were measured together, each once, in time order; they have their first seed in common."""
    found: dict[int, dict[Sample, None]] = {}
    for run in runs:
        measurement = run.grading.measurement if run.grading is not None else None
        if measurement is not None and measurement.samples:
            key = measurement.seeds[0] if measurement.seeds else -run.number
            found.setdefault(key, {}).update(dict.fromkeys(measurement.samples))
    return [sorted(batch, key=lambda s: (s.round, s.started_s, s.position)) for batch in found.values()]


def _sample_rows(drawn: Iterable[tuple[int, Sample]]) -> Iterator[SampleRow]:
    groups: dict[tuple[int, int, str, int], list[Sample]] = {}
    for batch, sample in drawn:
        groups.setdefault((batch, sample.round, sample.side, sample.run), []).append(sample)
    for (batch, number, side, run), samples in groups.items():
        yield SampleRow(
            batch=batch,
            round=number,
            side=side,
            run=run,
            seconds=tuple(sample.seconds for sample in samples),
            endings=tuple(dict.fromkeys(s.ending.words for s in samples if s.ending is not Ending.ANSWERED)),
        )


# Effort


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A part of a stacked bar, in percent of the longest; `kind` is its class, `seconds` what it stands for."""

    kind: str
    start: float
    width: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EffortRow:
    """What an episode took.

    Attributes:
        tokens: sent and received; None where no model was asked.
        ending: why it ended; hostile text.
        bars: where its seconds went.
    """

    run: int
    tone: str
    words: str
    turns: int | None
    calls: int | None
    errors: int | None
    seconds: float | None
    dollars: float | None
    tokens: int | None
    ending: str
    bars: tuple[Bar, ...]


def effort_rows(
    summaries: Sequence[RunSummary], efforts: Mapping[int, Effort], runs: Mapping[int, Run]
) -> tuple[EffortRow, ...]:
    """What each episode took, in the order of the summaries; runs without an episode are left out."""
    longest = max((sum(effort.by_kind.values()) for effort in efforts.values()), default=0.0) or 1.0
    rows = []
    for summary in summaries:
        effort, run = efforts.get(summary.number), runs.get(summary.number)
        episode = run.episode if run is not None else None
        if effort is None and episode is None:
            continue
        rows.append(
            EffortRow(
                run=summary.number,
                tone=tone_of(summary.outcome),
                words=summary.outcome.words if summary.outcome is not None else "no verdict yet",
                turns=episode.turns if episode is not None else effort.turns if effort is not None else None,
                calls=episode.calls if episode is not None else effort.calls if effort is not None else None,
                errors=effort.errors if effort is not None else None,
                seconds=summary.seconds,
                dollars=summary.dollars,
                tokens=(episode.usage.total or None) if episode is not None else None,
                ending=summary.ending,
                bars=tuple(_bars(effort, longest)) if effort is not None else (),
            )
        )
    return tuple(rows)


def _bars(effort: Effort, longest: float) -> Iterator[Bar]:
    start = 0.0
    for kind, name in BARS.items():
        seconds = effort.by_kind.get(kind, 0.0)
        width = 100.0 * seconds / longest
        if width > 0.0:
            yield Bar(kind=name, start=round(start, 2), width=round(width, 2), seconds=seconds)
        start += width
