"""All checks before a submission is measured: its text and its components, in one throw-away sandbox each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runner.faults import InfrastructureFault
from runner.grading.checks.answers import slow_death
from runner.grading.checks.probes import (
    Inspection,
    Probe,
    ProbingTime,
    inspect_file,
    judge_presence,
    judge_probes,
    make_probes,
)
from runner.grading.checks.source import SourceReport, check_source, parse_report, possible_imports
from runner.grading.sample import SampleSpec
from runner.records.grading import Finding, Rules
from runner.sandbox.fleet import Fleet
from runner.tasks.problem import fresh_seed
from runner.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks of a submission gave.

    Attributes:
        imports: names of modules that its text may import, and other names; None where it cannot be told.
    """

    findings: tuple[Finding, ...]
    imports: tuple[str, ...] | None


def check_all(
    fleet: Fleet,
    spec: SampleSpec,
    scale: str,
    sources: Mapping[int, bytes],
    *,
    cpuset: str,
    at_once: int,
    rules: Rules,
    source_checks: bool = True,
    owners: Mapping[int, int] | None = None,
) -> dict[int, Checked]:
    """What the checks gave, by run; the baseline is probed too, for the values to compare with.

    Args:
        sources: the submissions by run.
        at_once: sandboxes at one time.
        source_checks: False lets the rules about texts warn where they would fail.
        owners: of sources that share their time, by run; None: each has its own.

    Raises:
        InfrastructureFault: engine or host failed, or the baseline itself fails a probe.
    """
    probes = make_probes(spec.task, scale, fresh_seed())

    times = {owner: ProbingTime() for owner in (owners or {}).values()}

    def inspect(source: bytes, run: int) -> Inspection:
        time = times.get((owners or {}).get(run, 0)) or ProbingTime()
        return inspect_file(fleet, spec, source, probes, cpuset=cpuset, time=time, run=str(run or ""))

    with fleet.threads(at_once, "check") as pool:
        pending_baseline = pool.submit(inspect, spec.task.baseline, 0) if probes else None
        pending = {run: pool.submit(inspect, source, run) for run, source in sources.items()}
        baseline = pending_baseline.result() if pending_baseline is not None else Inspection(None, ())
        _check_baseline(spec.task, probes, baseline)
        return {
            run: _checked(spec.task, probes, future.result(), baseline, rules, source_checks)
            for run, future in pending.items()
        }


def _checked(
    task: Task, probes: Sequence[Probe], candidate: Inspection, baseline: Inspection, rules: Rules, source_checks: bool
) -> Checked:
    report = parse_report(candidate.report or b"")
    findings = _findings(task, probes, candidate, report, baseline, rules, source_checks)
    died = slow_death(candidate.dying_cpu_s)
    return Checked((*findings, *([] if died is None else [died])), possible_imports(report))


def _findings(
    task: Task,
    probes: Sequence[Probe],
    candidate: Inspection,
    report: SourceReport,
    baseline: Inspection,
    rules: Rules,
    source_checks: bool,
) -> tuple[Finding, ...]:
    source = check_source(task, report)
    if not source_checks:
        source = [replace(f, mark="warn", switched_off=True) if f.mark == "fail" else f for f in source]
    if any(finding.mark == "fail" and finding.subject == "form" for finding in source):
        return tuple(source)
    presence = judge_presence(task, candidate, report.places or {})
    # A component that is missing would fail its probes, too: once is enough.
    absent = {finding.about for finding in presence if finding.mark == "fail"}
    probed = judge_probes(task, probes, candidate, baseline, rules.equivalence)
    return (*source, *presence, *(finding for finding in probed if finding.component not in absent))


def _check_baseline(task: Task, probes: Sequence[Probe], baseline: Inspection) -> None:
    if baseline.failed:
        raise InfrastructureFault(
            cause=f"the baseline of task {task.name} cannot be run: {baseline.failed}", hint="fix the baseline"
        )
    for probe, result in zip(probes, baseline.probed, strict=True):
        values = [side.values for side in (result, result.drawn) if side is not None]
        if wrong := [value for value in values if isinstance(value, str)]:
            raise InfrastructureFault(
                cause=f"the baseline of task {task.name} fails the probe of {probe.name}: {wrong[0]}",
                hint="fix [components] in task.toml, or the baseline",
            )
