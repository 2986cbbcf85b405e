"""What a task's figures say: the bar, the solution's room, the noise, the costs, a target. Pure."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.grading.calibration.study import ORACLE_RUN, Study
from runner.grading.intervals import round_difference, t_interval
from runner.grading.schedule import SAMPLES_PER_ROUND
from runner.job.task_check.remark import Remark
from runner.records.grading import Sample
from runner.sandbox.engine import EngineFacts
from runner.sandbox.host_checks import limits_above
from runner.tasks.task import Task

SEEDS_MIN = 10  # of the baseline's quality: fewer say little of its spread
RUNS_OF_A_JOB = 10  # what a job has when nothing is said
# Of the solution's lower bound: the target that is suggested. chosen: an agent need not write the very same file, and one
# that is a third slower still passes.
TARGET_SHARE = 0.7
# A sample this many times as long as an empty call measures the file, not the call. chosen: the call is then a tenth of it.
CALL_FACTOR = 10.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What the samples of a check gave.

    Attributes:
        samples: of the rounds.
        study: of the host's noise on them; None without a solution.
        wall_s: seconds that the rounds took, all containers included.
    """

    samples: tuple[Sample, ...]
    study: Study | None
    wall_s: float

    @property
    def rounds(self) -> list[int]:
        """The rounds' numbers."""
        return sorted({sample.round for sample in self.samples})

    def seconds(self, side: str, run: int = 0) -> list[float]:
        """Of the samples of a side."""
        return [s.seconds for s in self.samples if (s.side, s.run) == (side, run)]

    def qualities(self, side: str, run: int = 0) -> list[float]:
        """Of the answers of a side."""
        return [s.quality for s in self.samples if (s.side, s.run) == (side, run) and s.quality is not None]

    def ratio_logs(self, run: int) -> list[float]:
        """The log of baseline time over a file's time, round by round."""

        def of(number: int, side: str, run: int) -> list[float]:
            return [s.seconds for s in self.samples if (s.round, s.side, s.run) == (number, side, run)]

        return [round_difference(of(n, "baseline", 0), of(n, "candidate", run)) for n in self.rounds]

    @property
    def sample_s(self) -> float:
        """Wall seconds of one sample, its container included."""
        return self.wall_s / max(1, len(self.samples))


def bar_of(task: Task, scale: str, baseline: Sequence[float]) -> float:
    """The quality that a submission must reach, as far as the baseline's qualities tell."""
    tolerance = task.tolerance(scale)
    return statistics.fmean(baseline) - tolerance if tolerance is not None else float(task.file.quality.minimum or 0.0)


def quality_remarks(
    task: Task, scale: str, baseline: Sequence[float], constants: Mapping[str, float]
) -> Iterator[Remark]:
    """The baseline's quality, the bar that follows, and whether an answer that nobody worked for reaches it."""
    mean, bar = statistics.fmean(baseline), bar_of(task, scale, baseline)
    spread = statistics.stdev(baseline) if len(baseline) > 1 else 0.0
    name, best = max(constants.items(), key=lambda entry: entry[1])
    said = (
        f"{task.file.quality.name} {mean:.4f} on {len(baseline)} data sets (sd {spread:.4f}), so the bar is {bar:.4f}"
    )
    if mean <= best:
        text = f"{said}; an answer of {name} has {best:.4f}: the baseline scores nothing"
        yield Remark("baseline's quality", "fault", text, "fix the baseline, or let score tell work from none")
    else:
        yield Remark("baseline's quality", "ok", said)
    if best >= bar:
        text = f"an answer of {name} has {best:.4f} and reaches the bar of {bar:.4f}"
        yield Remark("constant answer", "fault", text, "raise the bar ([quality]), or let score tell work from none")
    else:
        yield Remark("constant answer", "ok", f"the best of them ({name}) has {best:.4f}, under the bar of {bar:.4f}")


def oracle_remarks(task: Task, scale: str, measured: Measured) -> Iterator[Remark]:
    """Whether the solution reaches target and bar, and by how much."""
    qualities, bar = measured.qualities("candidate", ORACLE_RUN), bar_of(task, scale, measured.qualities("baseline"))
    target, found = task.target(scale), t_interval(measured.ratio_logs(ORACLE_RUN), task.file.target.confidence)
    low, high = found.low or 0.0, found.high or math.inf
    said = (
        f"{found.estimate:.2f}x ({low:.2f}x to {high:.2f}x), {task.file.quality.name} {statistics.fmean(qualities):.4f}"
    )
    if statistics.fmean(qualities) < bar:
        text = f"the solution's quality is under the bar of {bar:.4f}: {said}"
        yield Remark("solution", "fault", text, "fix the solution, or lower the bar ([quality])")
    elif target is not None and low < target:
        text = f"the solution does not reach the target of {target:g}x for certain: {said}"
        yield Remark(
            "solution", "fault", text, f"lower the target to {TARGET_SHARE * low:.2g}, or make the solution faster"
        )
    else:
        room = f", {low / target:.2f} times the target of {target:g}x" if target is not None else ""
        yield Remark("solution", "ok", f"{said}{room}")


def noise_remarks(task: Task, scale: str, study: Study, measured: Measured) -> Iterator[Remark]:
    """What this host, and this scale, can tell apart."""
    target, least = task.target(scale), study.min_detectable_ratio
    said = (
        f"a round's ratio varies by {100 * study.ratio_sd:.1f} %; from the target, a factor of {least:.2f} can be told"
    )
    if target is not None and target <= least:
        text = f"{said}: the baseline itself may reach the target of {target:g}x"
        yield Remark("noise", "fault", text, f"set a target over {least:.2f}, or make the scale larger")
    else:
        yield Remark("noise", "ok", said)
    short = statistics.median(measured.seconds("candidate", ORACLE_RUN))
    if study.call_overhead_s is not None and short < CALL_FACTOR * study.call_overhead_s:
        text = (
            f"the solution takes {1000 * short:.1f} ms, of which {1000 * study.call_overhead_s:.1f} ms are the call alone: "
            "faster files are hardly told apart"
        )
        yield Remark("short samples", "warn", text, "make the scale larger, if faster files than the solution matter")


def target_remarks(task: Task, scale: str, study: Study, measured: Measured) -> Iterator[Remark]:
    """A target that the solution reaches with room, and that noise does not."""
    interval = t_interval(measured.ratio_logs(ORACLE_RUN), task.file.target.confidence)
    low, least = interval.low or 0.0, study.min_detectable_ratio
    wanted = TARGET_SHARE * low
    if wanted <= least:
        text = f"the solution is {low:.2f}x at the least, and {least:.2f} is the smallest factor that can be told"
        fix = "make the scale larger, or the solution faster: between the two there is no room for a target"
        yield Remark("target", "warn", text, fix)
        return
    said = f"suggested {wanted:.2g}x, now {task.target(scale)}x; everything from {least:.2f}x to {low:.2f}x can be told"
    yield Remark("target", "ok", said)


def cost_remarks(task: Task, scale: str, measured: Measured, dollars_cap: float) -> Iterator[Remark]:
    """What a sample costs, and what ten runs will."""
    baseline = statistics.median(measured.seconds("baseline"))
    peaks = [s.memory_peak_bytes for s in measured.samples if s.memory_peak_bytes is not None]
    memory = f", {max(peaks) / 2**20:.0f} MiB at the most" if peaks else ""
    yield Remark(
        "a sample",
        "ok",
        f"takes {baseline:.3f} s of the baseline, {measured.sample_s:.2f} s with its container{memory}",
    )
    samples = task.data_sets(scale) * (2 + RUNS_OF_A_JOB * SAMPLES_PER_ROUND)
    minutes = samples * measured.sample_s / 60
    episode = task.file.episode
    longest = min(episode.wall_s, episode.working_s) / 60
    text = (
        f"are graded in about {minutes:.0f} min if all of them come near the target ({samples} samples); an episode takes "
        f"up to {episode.turns} turns and {longest:.0f} min, and a model costs ${dollars_cap:g} for all (--job-cost-limit)"
    )
    yield Remark("ten runs", "ok", text)


def host_remarks(task: Task, facts: EngineFacts) -> Iterator[Remark]:
    """Limits that this host cannot give."""
    limits = task.file.limits
    for name, words in limits_above(facts, limits.memory, limits.cpus, limits.pids):
        yield Remark("limits", "fault", words, f"lower {name}, or use a larger host")


def time_remarks(task: Task, measured: Measured) -> Iterator[Remark]:
    """Whether the baseline has room in its time limit, also on a loaded host."""
    slowest, limit = max(measured.seconds("baseline")), task.file.limits.sample_wall_s
    # chosen: a loaded host takes twice as long, and a sample that is timed out counts as a failure.
    if 3.0 * slowest > limit:
        text = f"the baseline takes up to {slowest:.1f} s, limits.sample_wall_s is {limit:g}"
        yield Remark(
            "limits", "fault", text, "raise limits.sample_wall_s to three times that, or make the scale smaller"
        )
