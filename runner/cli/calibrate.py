"""`python -m runner calibrate`: how noisy is this host, and what can it tell apart?"""

import json
from collections.abc import Iterator

from runner.cli.exit_codes import OK
from runner.cli.hosts_flags import check_alone, check_hosts_own
from runner.cli.options import CalibrateOptions
from runner.cli.signals import interrupt_on_sigterm
from runner.grading.calibration.certificates import VALID
from runner.grading.calibration.study import Study
from runner.job.calibration import Calibration, check_has_solution, measure_certificate
from runner.job.setup import load_task
from runner.report.progress import Progress
from runner.sandbox.engine import find_engine
from runner.settings import Settings
from runner.tasks.task import check_is_python


def calibrate(settings: Settings, options: CalibrateOptions) -> int:
    """Measure, print, and write the certificate; returns the exit status.

    Raises:
        Fault: it could not be measured.
        KeyboardInterrupt: the user stopped it; nothing is written.
    """
    task = load_task(settings, options.task.task)
    check_is_python(task, "a calibration")
    task.scale(options.task.scale)
    check_has_solution(task)
    if options.several.ray:
        from runner.cli.others import calibrate_on_hosts

        check_hosts_own(options.given)
        return calibrate_on_hosts(settings, options, task)
    check_alone(options.given)
    with Progress(quiet=options.show.quiet) as progress, interrupt_on_sigterm():
        made = measure_certificate(
            find_engine(settings), settings, task, options.task.scale, options.rounds, progress.say, progress.grading,
            options.slots,
        )  # fmt: skip
    if options.show.json:
        print(json.dumps(made.as_json()))
    else:
        print("\n".join([*_lines(made.study, made.name, str(made.path)), *_slot_lines(made)]))
    return OK


def _slot_lines(made: Calibration) -> Iterator[str]:
    for one in made.beside:
        yield (
            f"  slot {one.slot} of {one.slots} at once: the baseline takes {one.baseline_times:.3f} times as long as alone, "
            f"the ratio is {one.ratio_times:.3f} times as large and varies by {100 * one.ratio_sd:.1f} %"
        )
    if made.slots > 1 or made.slots_held_by:
        many = "One grading at a time" if made.slots == 1 else f"{made.slots} gradings at once (`--slots {made.slots}`)"
        yield f"{many}{f': {made.slots_held_by}' if made.slots_held_by else ''}"


def _lines(result: Study, name: str, path: str) -> Iterator[str]:
    yield f"Certificate {name}, from {result.rounds} rounds, valid for {VALID.days} days on this host"
    yield f"  a round's ratio varies by        {100 * result.ratio_sd:.1f} %"
    yield f"  a sample of the baseline         {100 * result.baseline_sd:.1f} %"
    yield f"  a sample of the solution         {100 * result.oracle_sd:.1f} %"
    for title, interval in (("baseline", result.baseline), ("solution", result.oracle)):
        assert interval.low is not None and interval.high is not None
        holds = "holds 1" if interval.low <= 1.0 <= interval.high else "does not hold 1: calibrate again"
        yield (
            f"  {title} against itself        {interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f}, "
            f"95 %): {holds}"
        )
    if result.call_overhead_s is not None:
        yield f"  a file that does nothing takes   {1000 * result.call_overhead_s:.1f} ms (frame, file and call)"
    yield f"  from round to round, lag 1       {result.autocorrelation:+.2f}"
    yield f"  smallest factor that it can tell {result.min_detectable_ratio:.3f} (after the last look)"
    yield f"Written to {path}"
