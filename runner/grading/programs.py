"""Grading of programs: they are built, each in a sandbox of its own, and then measured or repeated as `rounds.py` does."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from runner.grading.cases import Built, build, check_build
from runner.grading.context import Candidate, GradingContext, Programs
from runner.grading.measurement import summarize_quality, summarize_times
from runner.grading.rounds import grade
from runner.grading.sample import SampleSpec
from runner.grading.standing import Graded
from runner.grading.verdict import judge
from runner.records.grading import Finding, Grading, GradingPhase, GradingStep, Rules


def grade_programs(context: GradingContext, candidates: Sequence[Candidate]) -> Iterator[Graded]:
    """Build the candidates, and grade those that build together.

    Raises:
        InfrastructureFault: engine or host failed, or one of the task's own programs does not build.
        Interrupted: we are stopping.
    """
    task, compared = context.task, not context.rules.repetitions
    context.report_step(GradingStep(GradingPhase.CHECKING, f"building {len(candidates)} submission(s)"))
    own = {"baseline": task.baseline, "solution": task.oracle} if compared else {}
    with ThreadPoolExecutor(context.warm_at_once, "build") as pool:
        pending = {
            candidate: pool.submit(_build, context, candidate.content, candidate.run) for candidate in candidates
        }
        of_task = {name: pool.submit(_build, context, content, 0) for name, content in own.items() if content}
        built = {candidate: future.result() for candidate, future in pending.items()}
        programs = {
            name: check_build(f"{name} of task {task.name}", future.result()) for name, future in of_task.items()
        }
    ready = []
    for candidate, made in built.items():
        if made.files is None:
            yield _failed(candidate, made, context.rules)
        else:
            ready.append(replace(candidate, content=made.files))
    if ready:
        found = (_of_build(None),) if task.file.call.build else ()
        yield from grade(
            replace(context, programs=Programs(programs.get("baseline"), programs.get("solution"), found)), ready
        )


def _build(context: GradingContext, content: bytes, run: int) -> Built:
    task = context.task
    spec = SampleSpec(
        task=task, sandbox=context.spec, layout=(), inputs=b"", answer=(), deadline_s=task.file.call.build_wall_s,
        preload=(), cases=(),
    )  # fmt: skip
    return build(context.fleet, spec, content, cpuset=context.warmup_cpus, run=str(run or ""))


def _of_build(said: str | None) -> Finding:
    if said is None:
        return Finding(check="builds", subject="build", mark="pass", text="The submission builds", origin="data")
    return Finding(check="builds", subject="build", mark="fail", text=said, origin="data")


def _failed(candidate: Candidate, built: Built, rules: Rules) -> Graded:
    """The verdict on what does not build: nothing of it is measured."""
    findings = (_of_build(built.said),)
    mine = replace(rules, attempt=candidate.attempt)
    measurement, quality = summarize_times((), candidate.run, mine, ()), summarize_quality((), mine)
    outcome = judge(findings, measurement, quality, candidate.run, mine, 0, last=True)
    assert outcome is not None  # a failed check decides
    grading = Grading(outcome=outcome, findings=findings, measurement=measurement, quality=quality, rules=mine)
    return Graded(candidate.run, grading)
