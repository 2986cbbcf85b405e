"""Grading of work that an agent left: put into a fresh container, where the task's own script tests it, step by step.

The script and its files are in an image of their own, on a file system that nobody can write, and no agent has ever seen
them. What the agent left is bytes to this process. The reward comes back as a small file's bytes, and is read here.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from runner.faults import ImageFault
from runner.grading.context import Candidate, GradingContext
from runner.grading.measurement import summarize_quality, summarize_times
from runner.grading.reward_file import REWARD_BYTES_MAX, disagreement, read_reward, reward_named
from runner.grading.sample import TEXT_MAX, result_of_exit
from runner.grading.standing import Graded
from runner.grading.verdict import judge
from runner.records.bundle import pack_files, unpack_steps
from runner.records.grading import Ending, Finding, Grading, GradingPhase, GradingStep, QualityRound, Rules, Sample
from runner.records.outcome import infrastructure
from runner.sandbox.cgroup import ResourceUsage
from runner.sandbox.container import ExitCause, GuestExit, Received, check_host_had_memory
from runner.sandbox.image import find_image
from runner.sandbox.spec import SandboxSpec
from runner.sandbox.wire import Kind
from runner.tasks.schema import StepSection

NOTHING = pack_files(())


@dataclass(frozen=True, slots=True)
class Tested:
    """What a step's script said of the work.

    Attributes:
        rewards: by name; empty where there is none.
        why: where there is none.
        seconds: host clock, from the frame that holds the work to the answer.
        said: the end of what the script printed, hostile text.
        left: names of processes that were still at work when it had ended.
        dropped: files of the work that were not taken over, since they steer what tests it.
    """

    ending: Ending
    rewards: Mapping[str, float] = field(default_factory=dict)
    why: str = ""
    seconds: float = 0.0
    said: str = ""
    left: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    used: ResourceUsage = field(default_factory=ResourceUsage)


def grade_works(context: GradingContext, candidates: Sequence[Candidate]) -> Iterator[Graded]:
    """Each candidate with its verdict.

    Raises:
        InfrastructureFault: engine or host failed, or an image of the tests is not here.
        Interrupted: we are stopping.
    """
    specs = [_spec_of_step(context, step) for step in context.task.steps]
    untouched: dict[int, Tested] = {}
    for place, candidate in enumerate(candidates, 1):
        context.report_step(GradingStep(GradingPhase.CHECKING, f"testing {place} of {len(candidates)} submission(s)"))
        yield _grade(context, candidate, specs, untouched)


def _spec_of_step(context: GradingContext, step: StepSection) -> SandboxSpec:
    """The agents' own spec, but for the image."""
    try:
        image = find_image(context.fleet.engine, step.image, context.task.file.image.python)
    except ImageFault as fault:
        raise ImageFault(
            cause=f"step {step.name} of task {context.task.name}: {fault.cause}",
            hint="import the task again on this host",
        ) from fault
    return replace(context.spec, **image.basis(context.task.file.image.env))


def _grade(
    context: GradingContext, candidate: Candidate, specs: Sequence[SandboxSpec], untouched: dict[int, Tested]
) -> Graded:
    run, task = candidate.run, context.task
    rules = replace(context.rules, attempt=candidate.attempt)
    works = unpack_steps(candidate.content)
    if works is None or len(works) > len(task.steps):
        works = []
    done: list[Tested] = []
    wanted = len(task.steps)
    for number, (step, spec) in enumerate(zip(task.steps, specs, strict=True)):
        if number >= len(works):
            break
        found = test_work(context, step, spec, works[number], run=str(run))
        if not found.rewards:
            # Whose doing it is that there is no reward: the same script on what nobody touched tells.
            if number not in untouched:
                untouched[number] = test_work(context, step, spec, NOTHING, merge=True)
            if not untouched[number].rewards:
                fault = f"the tests of task {task.name} give no reward for an untouched workspace either: {found.why}"
                hint = f"fix the task's step {step.name}; its script said: {found.said[-300:].strip() or 'nothing'}"
                return Graded(run, Grading(outcome=infrastructure(fault, hint)))
        done.append(found)
        if not found.rewards or not reaches(step, found.rewards):
            wanted = len(done)
            break
    return Graded(run, _judged(context, candidate, rules, done, wanted))


def test_work(
    context: GradingContext,
    step: StepSection,
    spec: SandboxSpec,
    work: bytes,
    *,
    merge: bool | None = None,
    run: str = "",
) -> Tested:
    """Test one work in a container of its own.

    Raises:
        InfrastructureFault: engine or host failed.
    """
    head = {
        "op": "test", "argv": step.run, "where": step.where, "env": step.env, "paths": step.collect,
        "merge": step.merge if merge is None else merge, "reward_max": REWARD_BYTES_MAX,
    }  # fmt: skip
    with context.fleet.open(spec, "tester", role="check", cpuset=context.warmup_cpus, run=run) as sandbox:
        start_s = time.monotonic()
        reply = sandbox.ask(head, work, deadline_s=step.wall_s, body_bytes_max=REWARD_BYTES_MAX)
        seconds = time.monotonic() - start_s
        gone = isinstance(reply, GuestExit) and reply.how in (ExitCause.DIED, ExitCause.MEMORY)
        used = ResourceUsage() if gone else sandbox.used()
        if isinstance(reply, Received):  # whatever the script made of it: what it ran was not all there
            check_host_had_memory(sandbox, reply)
    if isinstance(reply, GuestExit):
        ended = result_of_exit(reply, seconds, None)
        return Tested(ended.ending, why=f"the tests {reply.how}: {ended.detail}"[:TEXT_MAX], seconds=seconds, used=used)
    return replace(_tested(reply), seconds=seconds, used=used)


def _tested(reply: Received) -> Tested:
    head = reply.frame.head
    if reply.frame.kind is not Kind.ANSWER:
        return Tested(Ending.BAD_ANSWER, why="the frame that came is not an answer")
    if refused := _text(head, "refused"):
        return Tested(Ending.BAD_ANSWER, why=f"the work cannot be tested: {refused}")
    said, status = _text(head, "said"), head.get("status")
    seen = Tested(Ending.BAD_ANSWER, said=said, left=_names(head, "left"), dropped=_names(head, "dropped"))
    if seen.left:
        return replace(seen, why=f"processes were still at work when the tests had ended: {', '.join(seen.left)}")
    if isinstance(status, int) and status < 0:
        ending = Ending.OUT_OF_MEMORY if head.get("memory") and status == -9 else Ending.CRASHED
        return replace(seen, ending=ending, why=f"the tests' script was ended by signal {-status}")
    if wrong := _text(head, "wrong"):
        return replace(seen, why=wrong)
    rewards = read_reward(_text(head, "file"), bytes(reply.frame.body))
    if isinstance(rewards, str):
        return replace(seen, why=rewards)
    beside = head.get("beside")
    for name, content in beside.items() if isinstance(beside, dict) else ():
        if wrong := disagreement(rewards, str(name)[:TEXT_MAX], str(content).encode("utf-8", "replace")):
            return replace(seen, why=wrong)
    return replace(seen, ending=Ending.ANSWERED, rewards=rewards)


def _text(head: Mapping[str, Any], key: str) -> str:
    return str(head.get(key) or "")[-TEXT_MAX:]


def _names(head: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = head.get(key)
    return tuple(str(name)[:200] for name in found[:20]) if isinstance(found, list) else ()


def reaches(step: StepSection, rewards: Mapping[str, float]) -> bool:
    """Whether later steps are looked at. Pure."""
    bars = {**step.minimums, **({} if step.minimum is None else {"reward": step.minimum})}
    return all(rewards.get(name, float("-inf")) >= bar for name, bar in bars.items())


def combined(steps: int, key: str, over_steps: str, done: Sequence[Mapping[str, float]]) -> float | None:
    """The reward over the steps that count; None where a step says nothing of it. Pure.

    Args:
        steps: how many count: those after one that did not reach its bar do not. One that was not done counts as 0.
        over_steps: `mean`, or `final`: of the last step.
    """
    found = [reward_named(rewards, key) for rewards in done]
    values = [value for value in found if value is not None]
    if len(values) != len(done):
        return None
    values += [0.0] * (steps - len(values))
    if over_steps == "final":
        return values[-1]
    # Exactly: the mean of equal rewards is that reward, and not a little less, which would miss a bar that each reaches.
    return float(sum(map(Fraction, values)) / len(values))


def _judged(
    context: GradingContext, candidate: Candidate, rules: Rules, done: Sequence[Tested], wanted: int
) -> Grading:
    task, call, run = context.task, context.task.file.call, candidate.run
    failed = next((tested for tested in done if tested.ending is not Ending.ANSWERED), None)
    given = [tested.rewards for tested in done]
    reward = None if failed is not None or not done else combined(wanted, call.reward, call.over_steps, given)
    why = ""
    if not done:
        why = "nothing was left that the task's tests look at"
    elif failed is not None:
        why = failed.why
    elif reward is None:
        why = f"the tests name {', '.join(sorted(done[-1].rewards))[:300]}, and the task counts {call.reward!r}"
    ending = Ending.ANSWERED if reward is not None else Ending.BAD_ANSWER if failed is None else failed.ending
    last = failed or (done[-1] if done else Tested(Ending.BAD_ANSWER))
    sample = Sample(
        side="candidate", run=run, round=1, position=0, ending=ending, seconds=sum(one.seconds for one in done),
        quality=reward, cpuset=context.warmup_cpus, cpu_s=last.used.cpu_s, memory_peak_bytes=last.used.memory_peak_bytes,
        pids_peak=last.used.pids_peak, written_bytes=last.used.written_bytes,
        detail="" if ending is Ending.ANSWERED else _detail(why, last),
    )  # fmt: skip
    rounds = () if reward is None else (_round(reward, rules),)
    quality = summarize_quality(rounds, rules)
    measurement = summarize_times((sample,), run, rules, [0])
    findings = tuple(_findings(task.steps, done, why))
    outcome = judge(findings, measurement, quality, run, rules, 0, last=True)
    assert outcome is not None  # there is nothing more to wait for
    return Grading(outcome=outcome, findings=findings, measurement=measurement, quality=quality, rules=rules)


def _detail(why: str, tested: Tested) -> str:
    said = tested.said.strip()
    return f"{why}{'; the script said: ' if said else ''}{said}"[:TEXT_MAX]


def _round(reward: float, rules: Rules) -> QualityRound:
    """A reward is no mean over items: there is nothing that it could have been by chance."""
    return QualityRound(
        round=1, baseline=None, candidate=reward, difference=reward - (rules.minimum or 0.0), variance=0.0
    )


def _findings(steps: Sequence[StepSection], done: Sequence[Tested], why: str) -> Iterator[Finding]:
    left = [name for tested in done for name in tested.left]
    yield Finding(
        check="tests-alone", subject="safety", mark="fail" if left else "pass", origin="engine",
        text=f"Processes were still at work when the tests had ended: {', '.join(left)}" if left
        else "When the tests had ended, nothing was at work that could write a reward",
    )  # fmt: skip
    dropped = [name for tested in done for name in tested.dropped]
    yield Finding(
        check="tests-unsteered", subject="safety", mark="warn" if dropped else "pass", origin="data",
        text=f"Not taken over, since it steers what runs the tests: {', '.join(dropped)}" if dropped
        else "Nothing of the work steers what runs the tests",
    )  # fmt: skip
    for step, tested in zip(steps, done, strict=False):
        if tested.rewards:
            figures = ", ".join(f"{name} {value:g}" for name, value in tested.rewards.items())
            yield Finding(
                check="tests-reward", subject="answer", mark="pass", text=f"The tests' script gave {figures}"[:TEXT_MAX],
                evidence=tested.said[-TEXT_MAX:], origin="data", about=step.name,
            )  # fmt: skip
