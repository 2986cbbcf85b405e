"""`python -m runner selftest`: the attacks and the honest work that ship with the product, on this host's real path."""

import difflib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from runner.budget.clock import SystemClock
from runner.cli.exit_codes import BELOW_THRESHOLD, INTERRUPTED, OK
from runner.cli.options import SelftestOptions
from runner.cli.signals import interrupt_on_sigterm
from runner.faults import Interrupted, UsageFault
from runner.grading.context import Candidate
from runner.grading.grade import grade_all
from runner.grading.schedule import SAMPLES_PER_ROUND
from runner.grading.standing import Graded
from runner.job.setup import build_context, build_rules, build_spec, load_task
from runner.records.grading import Finding
from runner.records.outcome import OutcomeKind
from runner.records.run import GradingConfig
from runner.report.progress import Progress
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.leftovers import sweep
from runner.selftest.corpus import Case, is_expected, read_corpus
from runner.settings import Settings
from runner.tasks.task import smallest_scale

TASKS = ("slow_nbody", "slow_ml_training_complex", "slow_pairs", "hidden_expressions", "held_out_labels")
QUICK_EVERY = 6  # chosen: a few minutes in place of many
ROUNDS_MAX = 6  # chosen: what has not shown itself by then is not what a case is about
# Two samples a round show what an answer gives away as well as three do; only what plays with time needs all of them.
SAMPLES_OF_OTHERS = 2
DEFENCES = {
    "too_slow": "host clock",
    "unstable": "its own spread",
    "inaccurate": "hidden key",
    "bad_answer": "declared answer",
    "build_failed": "its build",
    "crashed": "no answer",
    "timed_out": "time limit",
    "out_of_memory": "memory limit",
    "missing_component": "component probes",
    "not_equivalent": "component probes",
    "inconclusive": "guards",
    "passed": "-",
}


@dataclass(frozen=True, slots=True)
class Result:
    """How one case came out.

    Attributes:
        defence: what caught it.
        text: what the rules about its text would have said: `fails`, `warns` or nothing.
        right: whether it came out as it must.
        seconds: of its first sample.
    """

    id: str
    kind: str
    verdict: str
    defence: str
    text: str
    right: bool
    reason: str
    seconds: float | None


def selftest(settings: Settings, options: SelftestOptions) -> int:
    """Grade the corpus with the rules about texts switched off; returns 0 when every case came out as it must, else 1.

    Raises:
        Fault: before anything started.
    """
    started = time.monotonic()
    if "slower" in options.given:
        raise UsageFault(cause="--slower has no meaning without --sandbox", hint="leave it out, or add --sandbox")
    tasks = {name: load_task(settings, name) for name in TASKS}
    cases = chosen(list(read_corpus(tasks)), options)
    results: list[Result] = []
    with Progress(quiet=options.show.quiet) as progress:
        engine = find_engine(settings)
        sweep(engine)
        try:
            with interrupt_on_sigterm():
                for name in TASKS:
                    mine = [case for case in cases if case.task == name]
                    for result in _of_task(engine, settings, name, mine, progress):
                        results.append(result)
                        if options.show.json:
                            progress.say(f"{len(results)} of {len(cases)}: {_line(result)}")
                        else:
                            print(_line(result), flush=True)
        except (KeyboardInterrupt, Interrupted):
            print(f"interrupted: {len(results)} of {len(cases)} cases are done", file=sys.stderr)
            if options.show.json:
                print(_record(results))
            return INTERRUPTED
    if options.show.json:
        print(_record(results))
    else:
        print("\n".join(_summary(cases, results, time.monotonic() - started)))
    return OK if len(results) == len(cases) and all(result.right for result in results) else BELOW_THRESHOLD


def _record(results: Sequence[Result]) -> str:
    return json.dumps([asdict(result) for result in results])


def chosen(cases: Sequence[Case], options: SelftestOptions) -> list[Case]:
    """The cases that the flags ask for.

    Raises:
        UsageFault: one of them is not there.
    """
    if options.only:
        unknown = sorted(set(options.only) - {case.id for case in cases})
        if unknown:
            raise UsageFault(cause=f"no case {', '.join(unknown)}", hint=_nearest(unknown[0], [c.id for c in cases]))
        return [case for case in cases if case.id in options.only]
    return list(cases[::QUICK_EVERY] if options.quick else cases)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else "the cases are the files of runner/selftest/"


def _of_task(
    engine: Engine, settings: Settings, name: str, cases: Sequence[Case], progress: Progress
) -> Iterator[Result]:
    if not cases:
        return
    task = load_task(settings, name)
    scale = smallest_scale(task)
    spec, image = build_spec(engine, task, settings, progress.say)
    rules = build_rules(engine, task, scale, image, GradingConfig(rounds_max=ROUNDS_MAX))
    context = build_context(Fleet(engine, "selftest"), task, scale, spec, rules, SystemClock(), progress.grading)
    context = replace(context, source_checks=False)
    try:
        candidates = [Candidate(number, case.content, samples=_samples(case)) for number, case in enumerate(cases, 1)]
        for graded in grade_all(context, candidates):
            yield result_of(cases[graded.run - 1], graded)
    finally:
        context.fleet.stop()


def _samples(case: Case) -> int:
    return SAMPLES_PER_ROUND if case.kind == "timing" else SAMPLES_OF_OTHERS


def result_of(case: Case, graded: Graded) -> Result:
    """What a grading says about a case."""
    grading = graded.grading
    failed = [finding.name for finding in grading.findings if finding.mark == "fail"]
    text = _text_says(grading.findings)
    verdict = grading.outcome.kind
    right = is_expected(case.expected, verdict, failed)
    if case.is_honest:  # never rejected; a small data set may leave a real difference in quality open
        right = verdict in (OutcomeKind.PASSED, OutcomeKind.INCONCLUSIVE) and text != "fails"
    defence = ", ".join(failed) if verdict is OutcomeKind.UNSAFE else DEFENCES.get(verdict, verdict)
    samples = grading.measurement.samples if grading.measurement else ()
    seconds = [sample.seconds for sample in samples if sample.side == "candidate"]
    return Result(
        id=case.id,
        kind=case.kind,
        verdict=verdict,
        defence=defence,
        text=text,
        right=right,
        reason=grading.outcome.reason,
        seconds=seconds[0] if seconds else None,
    )


def _text_says(findings: Sequence[Finding]) -> str:
    """What the rules about the text, which decide nothing here, came to."""
    mine = [finding for finding in findings if finding.origin == "text"]
    if any(finding.switched_off for finding in mine):
        return "fails"
    return "warns" if any(finding.mark == "warn" for finding in mine) else ""


def _line(result: Result) -> str:
    mark = "✓" if result.right else "✗"
    seconds = "-" if result.seconds is None else f"{result.seconds:.3f}s"
    line = (
        f"{mark} {result.kind:10} {result.id:32} {result.verdict:18} {result.defence:28} {result.text:6} {seconds:>8}"
    )
    return line if result.right else f"{line}\n    {result.reason[:200]!r}"


def _summary(cases: Sequence[Case], results: Sequence[Result], seconds: float) -> Iterator[str]:
    honest = [result for result in results if result.kind == "honest"]
    cheats = [result for result in results if result.kind != "honest"]
    undetected = [case for case in cases if case.is_undetected]
    yield ""
    yield f"{sum(r.right for r in cheats) - len(undetected)} of {len(cheats) - len(undetected)} cheats caught"
    for case in undetected:
        yield f"  not detected by design: {case.id}: {case.note}"
    passed = sum(result.verdict == "passed" for result in honest)
    yield f"{sum(not r.right for r in honest)} of {len(honest)} honest optimisations rejected ({passed} passed)"
    said = {
        text: (sum(r.text == text for r in cheats), sum(r.text == text for r in honest)) for text in ("fails", "warns")
    }
    yield (
        f"all this with the rules about texts switched off; they would have failed {said['fails'][0]} cheats and "
        f"{said['fails'][1]} honest files, and warned of {said['warns'][0]} and {said['warns'][1]}"
    )
    yield f"{seconds:.0f} s"
