"""`python -m runner calibrate`: how noisy is this host, and what can it tell apart?"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from runner.cli.exit_codes import OK
from runner.cli.signals import interrupt_on_sigterm
from runner.clock import SystemClock
from runner.faults import TaskFault, UsageFault
from runner.grading.calibration.certificates import VALID, write_certificate
from runner.grading.calibration.fingerprint import fingerprint
from runner.grading.calibration.study import (
    BASELINE_RUN,
    NOOP_RUN,
    ORACLE_RUN,
    Study,
    certificate,
    noop_submission,
    study,
)
from runner.grading.context import Candidate
from runner.grading.grade import measurement_session
from runner.grading.rounds import sample_rounds
from runner.job.setup import DEFAULT_TASK, GradingOptions, build_context, build_rules, build_spec, load_task
from runner.report.progress import Progress
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet, sweep
from runner.settings import Settings

ROUNDS = 7  # six degrees of freedom


@dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """The flags of `calibrate`."""

    task: str = DEFAULT_TASK
    scale: str = "full"
    rounds: int = ROUNDS
    json: bool = False
    quiet: bool = False


def calibrate(settings: Settings, options: CalibrateOptions) -> int:
    """Measure, print, and write the certificate; returns the exit status.

    Raises:
        Fault: it could not be measured.
        KeyboardInterrupt: the user stopped it; nothing is written.
    """
    task = load_task(settings, options.task)
    task.scale(options.scale)
    if options.rounds < 3:
        raise UsageFault(cause=f"--rounds {options.rounds}", hint="a variance needs at least three rounds; 7 is usual")
    if task.oracle is None:
        raise TaskFault(cause=f"task {task.name} has no solution", hint="a calibration measures it beside the baseline")
    with Progress(quiet=options.quiet) as progress:
        engine = find_engine(settings)
        sweep(engine)
        spec, image = build_spec(engine, task, settings.runtime, progress.say)
        # No target: nothing is cut off, and nothing is decided.
        rules = replace(
            build_rules(engine, task, options.scale, image, GradingOptions()), target=None, certificate=None
        )
        fleet = Fleet(engine, "calibrate")
        context = build_context(fleet, task, options.scale, spec, rules, SystemClock(), progress.say)
        nothing = noop_submission(task.file.call.entry, task.answer_arrays(options.scale))
        candidates = [
            Candidate(ORACLE_RUN, task.oracle),
            Candidate(BASELINE_RUN, task.baseline, samples=1),
            Candidate(NOOP_RUN, nothing, samples=1),
        ]
        try:
            with interrupt_on_sigterm(), measurement_session(context) as on_cpu:
                samples = sample_rounds(on_cpu, candidates, options.rounds)
        finally:
            fleet.stop()
    found = study(samples, rules.confidence)
    host = asdict(fingerprint(engine, task, options.scale, image.id))
    made = datetime.now(UTC)
    name = f"{task.name}-{options.scale}-{made:%Y%m%d%H%M}"
    content = {"made": made.isoformat(), "study": asdict(found), "certificate": asdict(certificate(found, name))}
    path = write_certificate(host, content)
    if options.json:
        print(json.dumps({"path": str(path), "fingerprint": host, **content}))
    else:
        print("\n".join(_lines(found, name, str(path))))
    return OK


def _lines(found: Study, name: str, path: str) -> Iterator[str]:
    yield f"Certificate {name}, from {found.rounds} rounds, valid for {VALID.days} days on this host"
    yield f"  a round's ratio varies by        {100 * found.ratio_sd:.1f} %"
    yield f"  a sample of the baseline         {100 * found.baseline_sd:.1f} %"
    yield f"  a sample of the solution         {100 * found.oracle_sd:.1f} %"
    for title, interval in (("baseline", found.baseline), ("solution", found.oracle)):
        assert interval.low is not None and interval.high is not None
        holds = "holds 1" if interval.low <= 1.0 <= interval.high else "does not hold 1: measure again"
        yield (
            f"  {title} against itself        {interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f}, "
            f"95 %): {holds}"
        )
    if found.call_overhead_s is not None:
        yield f"  a file that does nothing takes   {1000 * found.call_overhead_s:.1f} ms (frame, file and call)"
    yield f"  from round to round, lag 1       {found.autocorrelation:+.2f}"
    yield f"  smallest factor that it can tell {found.smallest:.3f} (after the last look)"
    yield f"Written to {path}"
