"""What a task's check runs in containers: the starter as an agent finds it, each file once, and the measured rounds."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from runner.episode.tools import Accepted, run_tool
from runner.episode.workspace import workspace_files
from runner.faults import InfrastructureFault, TaskFault
from runner.grading.calibration.study import BASELINE_RUN, NOOP_RUN, ORACLE_RUN, noop_submission, study
from runner.grading.context import Candidate, GradingContext
from runner.grading.grade import grade_all, measurement_session
from runner.grading.rounds import sample_rounds
from runner.grading.sample import SampleSpec, run_sample, warm_sandbox
from runner.grading.standing import Graded
from runner.job.setup import sample_arrays
from runner.job.task_check.figures import Measured
from runner.job.task_check.remark import Remark, of_fault
from runner.records.episode import ToolCall
from runner.records.grading import Ending
from runner.sandbox.container import GuestExit
from runner.sandbox.workspace import populate_workspace
from runner.selftest.corpus import Case as Cheat
from runner.tasks.authoring import Case
from runner.tasks.problem import generate, to_bytes
from runner.tasks.task import Task, imported_modules

TEXT_MAX = 400  # characters: the end of a traceback, which says what happened
START_S = 60.0  # chosen: far over what an import takes, also of a large library
SAMPLES = 2  # of each round, of the solution: its noise is that between the two
CHEAT_SAMPLES = 1  # what an answer gives away shows in one sample of a round
CHEAT_ROUNDS = 3  # the first look of a grading at all files is after three rounds; what is open then is inconclusive
ORACLE_GRADED = 1  # its number among the candidates; the cheats follow


def sample_file(task: Task, make: Callable[[str, int], Case]) -> tuple[dict[str, np.ndarray] | None, int]:
    """The sample data as the agent finds them, and the bytes of all that it finds.

    Args:
        make: the case of a scale and a seed.
    """
    section, arrays = task.file.workspace.sample, None
    if section is not None:
        case = make(section.scale, section.seed)
        arrays = dict(sample_arrays(task, case))
    return arrays, sum(len(content) for _, content in workspace_files(task, arrays))


def starter_remarks(context: GradingContext, arrays: dict[str, np.ndarray] | None) -> Iterator[Remark]:
    """Whether the starter can be imported where an agent works, and has the entry."""
    task = context.task
    command = (
        f"import importlib.util as u; s = u.spec_from_file_location('starter', {task.file.workspace.starter!r}); "
        f"m = u.module_from_spec(s); s.loader.exec_module(m); assert callable(m.{task.file.call.entry})"
    )
    files = tuple(workspace_files(task, arrays))
    with context.fleet.open(context.spec, "toolserver", role="agent", cpuset=context.warmup_cpus) as sandbox:
        populate_workspace(sandbox, files)
        call = ToolCall("starter", "bash", {"command": f'{context.spec.python} -c "{command}"', "timeout_s": START_S})
        outcome = run_tool(sandbox, call, Accepted.by(task.file.submission))
    if isinstance(outcome, GuestExit):
        yield Remark("starter", "fault", f"its sandbox ended: {outcome.how}, {outcome.detail}", "raise limits.memory")
    elif outcome.result.facts.get("exit_status") != 0:
        text = f"{task.file.workspace.starter} cannot be imported: {outcome.result.text.strip()[-TEXT_MAX:]}"
        yield Remark("starter", "fault", text, "fix the file, or add what it imports to the image")
    else:
        yield Remark(
            "starter", "ok", f"{task.file.workspace.starter} is there with {len(files) - 1} other files, and runs"
        )


def first_answers(context: GradingContext, case: Case) -> Iterator[Remark]:
    """Whether baseline and solution answer at all, one container each, before anything is measured."""
    task, oracle = context.task, context.task.oracle
    yield _answers(context, case, "baseline", task.file.call.baseline, task.baseline)
    if oracle is None:
        text = f"there is no solution/{task.file.submission.file}: nothing shows that the target can be reached"
        yield Remark("solution", "warn", text, "add one; it also opens each round, and shows the host's noise")
    else:
        yield _answers(context, case, "solution", f"solution/{task.file.submission.file}", oracle)


def _answers(context: GradingContext, case: Case, check: str, name: str, source: bytes) -> Remark:
    task, scale = context.task, context.scale
    layout = task.input_arrays(scale)
    try:
        spec = SampleSpec(
            task=task,
            sandbox=context.spec,
            layout=layout,
            inputs=to_bytes(case, layout),
            answer=task.answer_arrays(scale),
            deadline_s=task.file.limits.sample_wall_s,
            preload=task.preloads(imported_modules(source)),
        )
        with warm_sandbox(context.fleet, spec, role="check", cpuset=context.warmup_cpus) as sandbox:
            result = run_sample(sandbox, spec, source)
    except (InfrastructureFault, TaskFault) as fault:
        return of_fault(check, fault)
    if result.ending is not Ending.ANSWERED or result.arrays is None:
        return Remark(
            check, "fault", f"{name}: {result.ending.words}: {result.detail}", _FIXES.get(result.ending, "fix the file")
        )
    return Remark(check, "ok", f"{name} answers {task.file.call.entry} in the declared form")


_FIXES = {
    Ending.BAD_ANSWER: "return a dict of the arrays of [answer], in their dtypes, shapes and ranges; or change [answer]",
    Ending.TIMED_OUT: "raise limits.sample_wall_s, or make the scale smaller",
    Ending.OUT_OF_MEMORY: "raise limits.memory, or make the scale smaller",
}


def measure(context: GradingContext, rounds: int) -> Measured:
    """Baseline, solution, baseline once more and an empty call, on a fresh data set each round.

    Raises:
        InfrastructureFault: engine or host failed, or baseline or solution did.
        Interrupted: we are stopping.
    """
    task = context.task
    plain = replace(context, rules=replace(context.rules, target=None, certificate=None))
    noop = noop_submission(task.file.call.entry, task.answer_of_call(context.scale))
    candidates = [Candidate(BASELINE_RUN, task.baseline, samples=1), Candidate(NOOP_RUN, noop, samples=1)]
    if task.oracle is not None:
        candidates.insert(0, Candidate(ORACLE_RUN, task.oracle, samples=SAMPLES))
    with measurement_session(plain) as on_cpu:
        started_s = time.monotonic()
        samples = tuple(sample_rounds(on_cpu, candidates, rounds))
        wall_s = time.monotonic() - started_s
    noise = study(samples, context.rules.confidence) if task.oracle is not None else None
    return Measured(samples, noise, wall_s)


def grade_cheats(context: GradingContext, cheats: Sequence[Cheat]) -> Iterator[Graded]:
    """The verdicts on the solution, as run ORACLE_GRADED, and on each cheat, as the runs after it.

    Raises:
        Interrupted: we are stopping.
    """
    oracle = context.task.oracle
    first = [] if oracle is None else [Candidate(ORACLE_GRADED, oracle)]
    rest = [
        Candidate(number, cheat.content, samples=CHEAT_SAMPLES)
        for number, cheat in enumerate(cheats, ORACLE_GRADED + 1)
    ]
    data_sets = min(context.rules.data_sets, CHEAT_ROUNDS)
    rules = replace(context.rules, rounds_max=CHEAT_ROUNDS, data_sets=data_sets)
    yield from grade_all(replace(context, rules=rules, source_checks=False), [*first, *rest])


def case_of(context: GradingContext) -> Callable[[str, int], Case]:
    """What makes the case of a scale and a seed."""
    return lambda scale, seed: generate(context.problem, context.task, scale, seed)
