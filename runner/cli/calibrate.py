"""`python -m runner calibrate`: how noisy is this host, and what can it tell apart?"""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime

from runner.cli.exit_codes import OK
from runner.cli.options import CalibrateOptions
from runner.cli.signals import interrupt_on_sigterm
from runner.clock import SystemClock
from runner.faults import TaskFault
from runner.grading.calibration.certificates import VALID, write_certificate
from runner.grading.calibration.fingerprint import fingerprint
from runner.grading.calibration.study import (
    BASELINE_RUN,
    NOOP_RUN,
    ORACLE_RUN,
    Study,
    certificate_of,
    noop_submission,
    study,
)
from runner.grading.context import Candidate
from runner.grading.grade import measurement_session
from runner.grading.rounds import sample_rounds
from runner.job.setup import build_context, build_rules, build_spec, load_task
from runner.records.run import GradingConfig
from runner.report.progress import Progress
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet, sweep
from runner.settings import Settings


def calibrate(settings: Settings, options: CalibrateOptions) -> int:
    """Measure, print, and write the certificate; returns the exit status.

    Raises:
        Fault: it could not be measured.
        KeyboardInterrupt: the user stopped it; nothing is written.
    """
    task = load_task(settings, options.task.task)
    task.scale(options.task.scale)
    if task.oracle is None:
        raise TaskFault(
            cause=f"task {task.name} has no solution",
            hint=f"a calibration measures it next to the baseline: add solution/{task.file.submission.file}",
        )
    with Progress(quiet=options.show.quiet) as progress:
        engine = find_engine(settings)
        sweep(engine)
        spec, image = build_spec(engine, task, settings, progress.say)
        # No target: nothing is cut off, and nothing is decided.
        rules = replace(
            build_rules(engine, task, options.task.scale, image, GradingConfig()), target=None, certificate=None
        )
        fleet = Fleet(engine, "calibrate")
        context = build_context(fleet, task, options.task.scale, spec, rules, SystemClock(), progress.grading)
        noop = noop_submission(task.file.call.entry, task.answer_arrays(options.task.scale))
        candidates = [
            Candidate(ORACLE_RUN, task.oracle),
            Candidate(BASELINE_RUN, task.baseline, samples=1),
            Candidate(NOOP_RUN, noop, samples=1),
        ]
        try:
            with interrupt_on_sigterm(), measurement_session(context) as on_cpu:
                samples = sample_rounds(on_cpu, candidates, options.rounds)
        finally:
            fleet.stop()
    result = study(samples, rules.confidence)
    host = asdict(fingerprint(engine, task, options.task.scale, image.id))
    made = datetime.now(UTC)
    name = f"{task.name}-{options.task.scale}-{made:%Y%m%d%H%M}"
    content = {"made": made.isoformat(), "study": asdict(result), "certificate": asdict(certificate_of(result, name))}
    path = write_certificate(host, content)
    if options.show.json:
        print(json.dumps({"path": str(path), "fingerprint": host, **content}))
    else:
        print("\n".join(_lines(result, name, str(path))))
    return OK


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
