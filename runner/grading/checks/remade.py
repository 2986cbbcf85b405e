"""Arrays of an answer that a component makes (`made_by` in task.toml), made again by that component.

The probes say what a component does when it is called, the clock what the file does when it is timed; this ties the one to
the other. The component gets the round's own inputs in a process and a container where this round's labels never were, and
what it returns is compared with the answer on the host: features that carry labels, or anything else that the component
does not make, are not made again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runner.grading.checks.answers import no_answer
from runner.grading.checks.probes import SCALE_MIN, Arrays, Probe, call_method, load_components
from runner.grading.guarded_problem import NotJudged
from runner.grading.sample import SampleSpec
from runner.records.grading import Finding
from runner.sandbox.container import Sandbox
from runner.sandbox.fleet import Fleet
from runner.tasks.authoring import BadAnswer
from runner.tasks.problem import Answer, Case, Problem, to_bytes
from runner.tasks.schema import MadeBySection, ProbeInput, ProbeOutput, ProbeSection
from runner.tasks.task import Array, Task

# What all calls that make answers again may take together: so many times what the answers took when they were timed, with
# the rest of the work. chosen: an instance is new once, and once has had the earlier call, which is less than two samples;
# several files are asked side by side, and not on a CPU of their own.
REMAKING_FACTOR = 10.0
# Seconds of it that there are besides. chosen: to load the file, and to see how it makes its components.
REMAKING_S_MIN = 20.0
# Samples, each with the task's limit, that this is never more than for each answer.
SAMPLES_FOR_ONE = 2


@dataclass(frozen=True, slots=True)
class Claimed:
    """Answers of a submission, each with what it is an answer to.

    Attributes:
        source: the file.
        answers: all that were timed in a round, repeats among them: whoever forges some of them only now and then is seen in
            most rounds. Or all audits of a batch.
        seconds: what they took when they were timed, all together.
    """

    source: bytes = field(repr=False)
    answers: tuple[tuple[Case, Answer], ...]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Remaking:
    """How an array is made again.

    Attributes:
        name: of the array, as `[answer]` has it.
        call: of the component's method, with the round's inputs.
        earlier: a call that the same instance may have had before it; None where the task names none.
    """

    name: str
    section: MadeBySection
    call: Probe
    earlier: Probe | None

    @property
    def words(self) -> str:
        """What makes it, such as `ComplexFeatureExtractor.extract(test_images)`."""
        return f"{self.section.component}.{self.section.method}({', '.join(self.section.inputs)})"


def make_again(
    fleet: Fleet,
    spec: SampleSpec,
    problem: Problem,
    scale: str,
    claimed: Mapping[int, Claimed],
    *,
    at_once: int,
    sandbox_of: Callable[[int], AbstractContextManager[Sandbox]],
) -> dict[int, list[Finding] | NotJudged]:
    """Findings by run: one for each answer, and each array of it that a component makes; or how problem.py failed there.

    Args:
        spec: with data of another round, for a file whose components need arguments of its own.
        problem: guarded (`guarded_problem.py`).
        claimed: the answers of each run.
        at_once: sandboxes at one time.
        sandbox_of: one for a run, warm, in which nothing of any file runs yet.

    Raises:
        InfrastructureFault: engine or host failed.
    """

    def findings(run: int) -> list[Finding] | NotJudged:
        with sandbox_of(run) as sandbox:
            try:
                return remake_all(sandbox, spec, problem, scale, claimed[run])
            except BadAnswer as bad:
                return [no_answer(str(bad))]
            except NotJudged as failure:
                return failure

    with fleet.threads(at_once, "remake") as pool:
        return dict(zip(claimed, pool.map(findings, claimed), strict=True))


def remake_all(sandbox: Sandbox, spec: SampleSpec, problem: Problem, scale: str, claimed: Claimed) -> list[Finding]:
    """A finding for each answer and each array of it that a component makes, in a warm sandbox of its own.

    Raises:
        InfrastructureFault: engine or host failed.
    """
    sandbox.asking_left_s = remaking_s(claimed, spec.deadline_s)
    present = load_components(sandbox, spec.task, claimed.source)
    failed = present if isinstance(present, str) else ""
    return [
        _remake(sandbox, spec, problem, remaking, answer, failed)
        for case, answer in claimed.answers
        for remaking in make_remakings(spec.task, scale, case)
    ]


def remaking_s(claimed: Claimed, deadline_s: float) -> float:
    """Seconds that all calls may take: who took long when it was timed may take long again, and nobody else.

    Args:
        deadline_s: of a sample, by the task.
    """
    most_s = SAMPLES_FOR_ONE * deadline_s * len(claimed.answers)
    return REMAKING_S_MIN + min(most_s, REMAKING_FACTOR * claimed.seconds)


def make_remakings(task: Task, scale: str, case: Case) -> list[Remaking]:
    """How each array that a component makes is made again from the inputs of a case."""
    return [
        Remaking(
            name,
            section.made_by,
            _call_of(task, scale, case, section.made_by, section.made_by.inputs, name),
            _call_of(task, scale, case, section.made_by, section.made_by.earlier, name)
            if section.made_by.earlier
            else None,
        )
        for name, section in task.file.answer.items()
        if section.made_by is not None
    ]


def _call_of(task: Task, scale: str, case: Case, made_by: MadeBySection, names: Sequence[str], made: str) -> Probe:
    declared = {array.name: array for array in (*task.input_arrays(scale), *task.answer_arrays(scale))}
    inputs, sizes = tuple(declared[name] for name in names), task.scale(scale).sizes
    section = ProbeSection(
        init=made_by.init,
        method=made_by.method,
        inputs=[ProbeInput(dtype=array.dtype, shape=list(array.shape)) for array in inputs],  # type: ignore[arg-type]
        outputs=[ProbeOutput(shape=list(declared[made].shape))],
        convert=made_by.convert,
    )
    output = (Array("out0", "float64", declared[made].shape),)
    init = tuple(sizes[entry] if isinstance(entry, str) else entry for entry in made_by.init)
    return Probe(made_by.component, section, inputs, output, init, to_bytes(case, inputs), (0, 0))


def _remake(
    sandbox: Sandbox, spec: SampleSpec, problem: Problem, remaking: Remaking, answer: Answer, failed: str
) -> Finding:
    shares: list[float] = []
    for values in () if failed else _values(sandbox, spec, remaking):
        if isinstance(values, str):
            failed = failed or values
            continue
        shares.append(share_remade(problem, remaking, answer, values["out0"]))
        if shares[-1] >= problem.agreement_min:
            break
    return judge_remade(remaking, max(shares) if shares else failed, problem.agreement_min)


def _values(sandbox: Sandbox, spec: SampleSpec, remaking: Remaking) -> Iterator[Arrays | str]:
    """What a fresh instance makes; then, where the task names an earlier call, what one makes that has had it."""

    def call(probe: Probe, *, fresh: bool) -> Arrays | str:
        return call_method(
            sandbox, probe, spec.task.file.call.entry, probe.body, fresh=fresh, deadline_s=spec.deadline_s
        )

    yield call(remaking.call, fresh=True)
    if remaking.earlier is not None:
        call(remaking.earlier, fresh=True)  # what it returns, and in which form, is of no interest
        yield call(remaking.call, fresh=False)


def share_remade(problem: Problem, remaking: Remaking, answer: Answer, made: NDArray[np.generic]) -> float:
    """Share of the items, 0 to 1, that were made again: within the tolerance, and with the same answer to them. Pure.

    The second holds what a tolerance lets through: labels in a feature's last digits, that only large weights would read.
    """
    both = (answer[remaking.name], made)
    with np.errstate(all="ignore"):  # hostile numbers may overflow; they are equal to nothing
        claimed, expected = (np.asarray(array, dtype=np.float64).reshape(len(made), -1) for array in both)
        largest = np.abs(expected).max(axis=1, initial=0.0)
        # What is zero but for rounding is so beside the other items: how large they all are is the submission's to choose.
        # Made small first: the median of two is their mean, which overflows, and every error is within a share of infinity.
        scale = np.maximum(largest, np.median(SCALE_MIN * largest))
        share = float(
            (np.abs(claimed - expected).max(axis=1, initial=0.0) <= remaking.section.tolerance * scale).mean()
        )
        if problem.agreement is None:
            return share
        again = {**answer, remaking.name: made.astype(answer[remaking.name].dtype)}
        return min(share, float(problem.agreement(answer, again, np.arange(len(made)))))


def judge_remade(remaking: Remaking, share: float | str, share_min: float) -> Finding:
    """The finding.

    Args:
        share: of the items that were made again, or why nothing was made.
    """
    if isinstance(share, str):
        text = f"Its {remaking.name} could not be made again by {remaking.words}: {share}"
        return Finding(
            check="answer-remade",
            subject="safety",
            mark="fail",
            text=text,
            evidence="",
            origin="data",
            about=remaking.name,
        )
    text = f"{100 * share:.1f} % of its {remaking.name} are what {remaking.words} makes"
    if share < share_min:
        return Finding(
            check="answer-remade",
            subject="safety",
            mark="fail",
            text=f"Only {text}",
            evidence="",
            origin="data",
            about=remaking.name,
        )
    return Finding(
        check="answer-remade", subject="safety", mark="pass", text=text, evidence="", origin="data", about=remaking.name
    )
