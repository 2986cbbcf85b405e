"""The order of a task's check: what costs nothing first, and what rests on something broken is not tried."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.agents.scripted import check_episodes
from runner.budget.clock import SystemClock
from runner.faults import InfrastructureFault, TaskFault, UsageFault
from runner.grading.context import GradingContext
from runner.grading.standing import Graded
from runner.job.setup import agent_files, build_context, build_rules, build_spec
from runner.job.task_check import containers, data, figures, other_kinds, tested_work
from runner.job.task_check.figures import Measured
from runner.job.task_check.remark import Mark, Remark, of_fault
from runner.records.grading import GradingStep
from runner.records.outcome import Outcome, OutcomeKind
from runner.records.run import GradingConfig
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.selftest.corpus import Case as Cheat
from runner.selftest.corpus import own_cases
from runner.selftest.generic import FAMILIES, NOT_APPLYING, generic_cheats
from runner.settings import Settings
from runner.tasks.authoring import Case
from runner.tasks.problem import Problem, load_problem
from runner.tasks.strategies import load_strategies
from runner.tasks.task import Task, faults_of_folder, read_task

# Verdicts that leave a solution open where a check has few rounds for it.
OPEN = (OutcomeKind.INCONCLUSIVE, OutcomeKind.UNSTABLE)
FIXES = {"ok": "", "warn": "check on a quieter host, or at a larger scale", "fault": "fix what the verdict names"}


@dataclass(frozen=True, slots=True)
class Sound:
    """A task whose folder and data hold: what its containers can be tried with.

    Attributes:
        cases: data sets, of seeds 0, 1, ...
        constants: mean quality of each constant answer.
    """

    task: Task
    problem: Problem
    scale: str
    cases: list[Case]
    constants: dict[str, float]


def check_folder(folder: Path, scale: str, seeds: int) -> tuple[Sound | None, list[Remark]]:
    """What is wrong with a folder, its problem.py and its data; nothing runs but problem.py.

    Raises:
        TaskFault: the folder has no such scale.
    """
    if faults := faults_of_folder(folder):
        return None, [of_fault("task.toml", fault) for fault in faults]
    task = read_task(folder)
    task.scale(scale)
    remarks = [
        Remark(
            "task.toml",
            "ok",
            f"{task.name}: {len(task.file.inputs)} inputs, {len(task.file.answer)} arrays of the answer"
            if task.kind == "python"
            else f"{task.name}: kind {task.kind}",
        )
    ]
    remarks += of_other_files(task)
    try:
        problem = load_problem(task)
    except TaskFault as fault:
        return None, [*remarks, of_fault("problem.py", fault)]
    if task.kind == "tests":  # it has no data, and what is right a script says
        return Sound(task, problem, scale, [], {}), remarks
    cases, found = data.make_cases(problem, task, scale, range(seeds))
    if not cases:
        return None, [*remarks, *found]
    constants, of_score = data.qualities_of_constants(problem, task, scale, cases[0])
    remarks += [*found, *data.leaks(cases), *of_score, *of_workspace(problem, task, scale)]
    return (Sound(task, problem, scale, cases, constants) if constants else None), remarks


def of_other_files(task: Task) -> Iterator[Remark]:
    """What is wrong with the files that a task may have besides, each of which is read by a command of its own."""
    readers: dict[str, Callable[[Task], object]] = {
        "episodes": check_episodes, "cases": own_cases, "strategies.toml": load_strategies,
    }  # fmt: skip
    for name, read in readers.items():
        try:
            read(task)
        except TaskFault as fault:
            yield of_fault(name, fault)


def of_workspace(problem: Problem, task: Task, scale: str) -> Iterator[Remark]:
    """What is wrong with the files that an agent finds."""
    try:
        files = agent_files(problem, task, scale)
    except UsageFault as fault:
        yield of_fault("workspace", fault)
        return
    yield from data.furnishes(task, files)


def check_in_containers(
    engine: Engine, settings: Settings, sound: Sound, dollars_cap: float, report: Callable[[GradingStep], None],
    say: Callable[[str], None],
) -> Iterator[Remark]:  # fmt: skip
    """What containers show, in the order in which it is found.

    Raises:
        InfrastructureFault: engine or host failed.
        Interrupted: we are stopping.
    """
    task, scale = sound.task, sound.scale
    host = list(figures.host_remarks(task, engine.facts))
    yield from host
    if host:
        return
    spec, image = build_spec(engine, task, settings, say)
    rules = build_rules(engine, task, scale, image, GradingConfig())
    fleet = Fleet(engine, "check")
    try:
        context = build_context(fleet, task, scale, spec, rules, SystemClock(), report)
        if task.kind == "tests":
            yield from tested_work.remarks(context, say)
            return
        if task.kind != "python":
            yield from other_kinds.remarks(context, sound.constants, say)
            return
        whole = True
        for remark in _before_measuring(context, sound, say):
            whole = whole and remark.mark != "fault"
            yield remark
        if whole:
            yield from _measured(context, sound, dollars_cap, say)
    finally:
        fleet.stop()


def _before_measuring(context: GradingContext, sound: Sound, say: Callable[[str], None]) -> Iterator[Remark]:
    say("starting the starter, the baseline and the solution once")
    arrays, size = containers.sample_file(sound.task, containers.case_of(context))
    yield from data.fits(sound.task, sound.scale, size)
    yield from containers.starter_remarks(context, arrays)
    yield from containers.first_answers(context, sound.cases[0])


def _measured(
    context: GradingContext, sound: Sound, dollars_cap: float, say: Callable[[str], None]
) -> Iterator[Remark]:
    task, scale, rounds = sound.task, sound.scale, len(sound.cases)
    say(f"measuring baseline and solution on {rounds} data sets")
    try:
        measured = containers.measure(context, rounds)
    except InfrastructureFault as fault:
        yield of_fault("measurement", fault)
        return
    yield from of_measured(task, scale, measured, sound.constants, dollars_cap)
    cheats = list(generic_cheats(task, scale, sorted(sound.cases[0].hidden)))
    say(f"grading the solution and {len(cheats)} cheats")
    yield from of_graded(cheats, list(containers.grade_cheats(context, cheats)), has_oracle=task.oracle is not None)


def of_measured(
    task: Task, scale: str, measured: Measured, constants: dict[str, float], dollars_cap: float
) -> Iterator[Remark]:
    """What the rounds say. Pure."""
    yield from figures.time_remarks(task, measured)
    yield from figures.quality_remarks(task, scale, measured.qualities("baseline"), constants)
    if measured.study is not None:
        yield from figures.oracle_remarks(task, scale, measured)
        yield from figures.noise_remarks(task, scale, measured.study, measured)
        if task.target(scale) is not None:
            yield from figures.target_remarks(task, scale, measured.study, measured)
    yield from figures.cost_remarks(task, scale, measured, dollars_cap)


def of_graded(cheats: Sequence[Cheat], graded: Sequence[Graded], *, has_oracle: bool) -> Iterator[Remark]:
    """What the verdicts say: of the solution, and of each family of cheats. Pure."""
    outcomes = {one.run: one.grading.outcome for one in graded}
    if has_oracle and (mine := outcomes.get(containers.ORACLE_GRADED)) is not None:
        mark: Mark = "ok" if mine.kind is OutcomeKind.PASSED else "warn" if mine.kind in OPEN else "fault"
        yield Remark("solution's verdict", mark, f"{mine.kind.words}: {mine.reason}", FIXES[mark])
    numbered = dict(enumerate(cheats, containers.ORACLE_GRADED + 1))
    for family in FAMILIES:
        mine_of = {number: cheat for number, cheat in numbered.items() if cheat.kind == family}
        if not mine_of:
            yield Remark(
                f"cheats: {family}", "ok", f"none applies: {NOT_APPLYING.get(family, 'nothing in the task fits them')}"
            )
            continue
        yield from _of_family(family, mine_of, outcomes)


def _of_family(family: str, cheats: dict[int, Cheat], outcomes: dict[int, Outcome]) -> Iterator[Remark]:
    passed = [cheat for number, cheat in cheats.items() if outcomes[number].kind is OutcomeKind.PASSED]
    unsure = [cheat for number, cheat in cheats.items() if outcomes[number].kind is OutcomeKind.INFRASTRUCTURE]
    for cheat in passed:
        text = f"{cheat.id} passes: it {cheat.says}"
        yield Remark(
            f"cheats: {family}", "fault", text, "raise target or bar, or add evidence: rearrange, control, witness"
        )
    for cheat in unsure:
        yield Remark(f"cheats: {family}", "warn", f"{cheat.id} could not be graded: the host failed", "check again")
    if not passed and not unsure:
        said = ", ".join(f"{cheat.id} ({outcomes[number].kind.words})" for number, cheat in cheats.items())
        yield Remark(
            f"cheats: {family}", "ok", f"all {len(cheats)} are caught: {said}" if len(cheats) > 1 else f"caught: {said}"
        )
