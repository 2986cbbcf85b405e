"""Episodes and gradings from one's own code: a `Host` holds an engine, an `Env` is an episode on it that one steps through.

Nothing is graded while an episode goes on. A trainer collects a group of ended episodes and has them graded together
(`Host.grade_many`), so that they share the baseline's samples; while it measures, the environments that are open stand
frozen, as a job's episodes do. Environments may be stepped in threads of their own; gradings wait for each other.
"""

import contextlib
import operator
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, SupportsIndex, cast

from runner.agents.protocol import Observation
from runner.budget.clock import SystemClock
from runner.budget.limits import remaining_limits
from runner.episode.environment import Episode, EpisodeResult
from runner.episode.tools import schemas
from runner.faults import InfrastructureFault, UsageFault
from runner.grading.grade import grade_contents
from runner.job.actions import Action, Vendor, tools_for, turn_of
from runner.job.configuration import check_grading, check_limits
from runner.job.rewards import Graded, RewardName, check_rule, graded_of, reward_by_rule
from runner.job.run_episode import outcome_without_grading
from runner.job.setup import (
    agent_files,
    build_context,
    build_rules,
    build_spec,
    limits_of,
    load_task,
    read_submission,
)
from runner.job.slots import on_host
from runner.records.episode import EndReason, Limit, Limits, Submission, ToolResult
from runner.records.events import Event, ToolResultEvent
from runner.records.grading import GradingStep
from runner.records.outcome import Outcome, infrastructure
from runner.records.run import GradingConfig
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import Image
from runner.sandbox.leftovers import sweep
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import AGENT_ROLE, SandboxSpec
from runner.sandbox.workspace import Files
from runner.settings import Settings, read_settings
from runner.tasks.problem import check_repeats, load_problem
from runner.tasks.task import Task

FILES_KEPT = 16  # workspaces by their seed; chosen: a group's episodes share one, and a trainer asks for ever new ones
NOT_GRADED = "the submission is not graded yet: give the environment to Host.grade_many"


@dataclass(frozen=True, slots=True)
class Step:
    """What a step came to.

    Attributes:
        observation: what the agent sees; its `answers` are the results of this step's calls.
        reward: 0 while the episode goes on. At its end, by the rule that `open_episode` was given (`pass` without one);
            None where a submission is not graded yet, or the host spoiled the episode: `info["reason"]` says which.
        terminated: the agent ended the episode: by submitting, by a turn without calls, or by ruining its sandbox.
        truncated: a limit or a fault of the host ended it.
        info: at the end `ending` and `reason`, and `outcome` (a kind's name) once that is known.
    """

    observation: Observation
    reward: float | None
    terminated: bool
    truncated: bool
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What this step's calls printed; empty where the host lost them."""
        return "\n".join(answer.text for answer in self.observation.answers)


@dataclass(frozen=True, slots=True)
class _Setup:
    """What a task's sandboxes have in common."""

    task: Task
    spec: SandboxSpec
    image: Image


class Host:
    """An engine on which episodes are opened and files are graded; use it as a context manager.

    Args:
        engine: URL of the engine; empty: the one that the command line finds.
        slots: how many environments may be open at once. Each takes the memory that its task allows a sandbox.
        settings: what the environment variables say otherwise.
        say: called with a sentence about whatever takes its time.
    """

    def __init__(
        self, engine: str = "", slots: int = 4, *, settings: Settings | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        if slots < 1:
            raise UsageFault(cause=f"a host with {slots} slots can open nothing", hint="give slots=1 or more")
        settings = settings or read_settings()
        self.settings = settings.model_copy(update={"docker_host": engine}) if engine else settings
        self.slots, self.say = slots, say
        self._fleet: Fleet | None = None
        self._setups: dict[str, _Setup] = {}
        self._files: dict[tuple[str, str, int | None], Files] = {}
        self._open: list[Env] = []
        self._books, self._measuring = threading.RLock(), threading.Lock()

    def __enter__(self) -> Self:
        """Find the engine.

        Raises:
            EngineUnreachable: none answers.
        """
        engine = find_engine(self.settings)
        sweep(engine)
        self._fleet = Fleet(engine, f"host-{secrets.token_hex(4)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open: no container is left."""
        for env in list(self._open):
            env.close()
        if self._fleet is not None:
            self._fleet.stop()
            self._fleet.remove_rest()
            self._fleet = None

    @property
    def fleet(self) -> Fleet:
        """The sandboxes of this host.

        Raises:
            UsageFault: outside of its `with`.
        """
        if self._fleet is None:
            raise UsageFault(cause="this host is not open", hint="use it inside of `with Host() as host:`")
        return self._fleet

    def open_episode(
        self, task: str, scale: str = "full", limits: Limits | None = None, seed: int | None = None,
        *, reward: RewardName | None = None,
    ) -> "Env":  # fmt: skip
        """An environment for episodes of a task; it has a sandbox from its first `reset` on.

        Args:
            task: name, or path of a folder.
            limits: of each episode; None: the task's.
            seed: of the sample data in the workspace; None: the task's own. What grading measures on is always fresh.
            reward: the rule by which the step that submits is rewarded, after a grading of its own; None: submissions
                wait for `grade_many`.

        Raises:
            UsageFault: there is no such task, scale or reward; a limit or the seed is no such number; or all slots are
                taken.
            ImageFault: the task's image cannot be built.
        """
        seed = None if seed is None else _checked_seed(seed)
        check_limits(limits or Limits())
        setup = self._setup(task)
        setup.task.scale(scale)
        check_rule(reward or "pass", setup.task, scale)
        with self._books:
            if len(self._open) >= self.slots:
                raise UsageFault(
                    cause=f"all {self.slots} slots are taken", hint="close an environment, or give Host more"
                )
            env = Env(
                self, setup, scale, limits or limits_of(setup.task), self._workspace(setup.task, scale, seed), reward
            )
            self._open.append(env)
        return env

    def grade_many(
        self, group: "Sequence[Env | bytes | str | Path]", task: str = "", scale: str = "full",
        *, reward: RewardName = "pass", config: GradingConfig | None = None, seeds: Sequence[int] = (),
    ) -> list[Graded]:  # fmt: skip
        """Grade files and ended episodes together; equal contents are measured once, and all share the baseline's samples.

        Args:
            group: environments whose episode is over, contents, and paths of files; of one task and scale; a list,
                also for one.
            task, scale: of contents and paths; environments know their own.
            config: how it is graded; None: as the command line does.
            seeds: data seeds of the first rounds; fresh ones after these.

        Returns:
            One for each of the group, in its order. A fault of the host is an outcome, with a reward of None.

        Raises:
            UsageFault: there is no such task, scale, reward, seed or file; it is no group; an episode is not over; they are
                of several tasks; or `config` holds no such numbers, or asks for more slots than are proved.
        """
        if isinstance(group, Env | bytes | str | Path):  # a text would be a group of its letters
            raise UsageFault(cause="one file or environment was given where a group is asked for", hint="give a list")
        seeds = tuple(map(_checked_seed, seeds))
        check_grading(config or GradingConfig())
        setup, scale = self._setup_of(group, task, scale)
        check_rule(reward, setup.task, scale)
        contents = [self._content(one, setup.task) for one in group]
        unique = list(dict.fromkeys(content for content in contents if isinstance(content, bytes)))
        graded = self._grade(setup, scale, unique, reward, config or GradingConfig(), seeds) if unique else {}
        target = setup.task.target(scale)
        return [
            graded[content] if isinstance(content, bytes) else _ungraded(content, reward, target)
            for content in contents
        ]

    def _grade(
        self, setup: _Setup, scale: str, contents: Sequence[bytes], rule: RewardName, config: GradingConfig,
        seeds: tuple[int, ...],
    ) -> dict[bytes, Graded]:  # fmt: skip
        def report(step: GradingStep) -> None:
            self.say(step.text)

        task, target = setup.task, setup.task.target(scale)
        with self._measuring:
            try:
                rules = build_rules(self.fleet.engine, task, scale, setup.image, config)
                context = build_context(self.fleet, task, scale, setup.spec, rules, SystemClock(), report)
                context = on_host(context, setup.image, config)
            except InfrastructureFault as fault:
                spoiled = _ungraded(infrastructure(fault.cause, fault.hint), rule, target)
                return dict.fromkeys(contents, spoiled)
            context = replace(context, seeds=seeds)
            return {
                contents[one.run - 1]: graded_of(one.grading, rule, target) for one in grade_contents(context, contents)
            }

    def _setup(self, task: str) -> _Setup:
        with self._books:
            if task not in self._setups:
                loaded = load_task(self.settings, task)
                check_repeats(load_problem(loaded), loaded)
                spec, image = build_spec(self.fleet.engine, loaded, self.settings, self.say)
                self._setups[task] = _Setup(loaded, spec, image)
            return self._setups[task]

    def _setup_of(self, group: "Sequence[Env | bytes | str | Path]", task: str, scale: str) -> tuple[_Setup, str]:
        """The one task and scale of a group."""
        found = [(one.setup, one.scale) for one in group if isinstance(one, Env)]
        if task or len(found) < len(group) or not group:
            found.append((self._setup(task), scale))
        if len({(setup.task.folder, at) for setup, at in found}) > 1:
            raise UsageFault(cause="a group is of one task and one scale", hint="grade each task's group by itself")
        return found[0]

    def _content(self, one: "Env | bytes | str | Path", task: Task) -> bytes | Outcome:
        """The bytes to grade, or the outcome of what left none."""
        most = task.submission_bytes_max
        if isinstance(one, Env):
            return one.result()
        if isinstance(one, bytes):
            if len(one) > most:
                raise UsageFault(
                    cause=f"a content has {len(one)} bytes, the task allows {most}", hint="give a smaller one"
                )
            return one
        if not isinstance(one, str | Path):
            raise UsageFault(
                cause=f"the group holds a {type(one).__name__}",
                hint="give environments, contents as bytes, or paths",
            )
        return read_submission(Path(one), task)

    def _workspace(self, task: Task, scale: str, seed: int | None) -> Files:
        """What an episode finds; the same bytes for all environments that ask for the same."""
        key = str(task.folder), scale, seed
        if key not in self._files:
            self._files[key] = tuple(agent_files(load_problem(task), task, scale, seed))
            while len(self._files) > FILES_KEPT:
                del self._files[next(iter(self._files))]
        return self._files[key]

    def left(self, env: "Env") -> None:
        """An environment was closed: its slot is free."""
        with self._books, contextlib.suppress(ValueError):
            self._open.remove(env)


def _checked_seed(seed: object) -> int:
    """A seed as a number of Python's own.

    Raises:
        UsageFault: it is no whole number, or a negative one.
    """
    try:
        number = -1 if isinstance(seed, bool) else operator.index(cast(SupportsIndex, seed))
    except TypeError:
        number = -1
    if number < 0:
        raise UsageFault(cause=f"{seed!r} is not a seed", hint="give a whole number from 0")
    return number


def _ungraded(outcome: Outcome, rule: RewardName, target: float | None) -> Graded:
    return Graded(outcome, reward_by_rule(rule, outcome.kind, None, target))


class Env:
    """Episodes of one task, one after the other, each in a sandbox of its own. `Host.open_episode` makes it.

    Attributes:
        submission: what the episode submitted; None before that, and where it did not.
    """

    def __init__(
        self, host: Host, setup: _Setup, scale: str, limits: Limits, files: Files, rule: RewardName | None
    ) -> None:
        self.setup, self.scale = setup, scale
        self.submission: Submission | None = None
        self._host, self._limits, self._files, self._rule = host, limits, files, rule
        self._sandbox = contextlib.ExitStack()
        self._episode: Episode | None = None
        self._outcome: Outcome | None = None
        self._answers: list[ToolResult] = []
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def tools(self, vendor: Vendor = "anthropic") -> list[dict[str, Any]]:
        """The tools as a request lists them, in the form of `anthropic` or `openai`.

        Raises:
            UsageFault: another vendor's name.
        """
        return tools_for(vendor, schemas())

    def reset(self) -> Observation:
        """Start an episode over, whatever became of the one before: fresh sandbox, workspace, turns and submission.

        Raises:
            UsageFault: the environment is closed.
            InfrastructureFault: the sandbox did not start; `reset` may be tried again.
        """
        self._check_open()
        self._leave()
        self.submission, self._outcome = None, None
        fleet, task = self._host.fleet, self.setup.task
        with contextlib.ExitStack() as stack:
            sandbox = stack.enter_context(
                fleet.open(self.setup.spec, "toolserver", role=AGENT_ROLE, cpuset=all_cpus(fleet.engine))
            )
            episode = Episode(
                sandbox, task, self._limits, task.instruction(self.scale), self._files, emit=self._note_answer
            )
            observation = episode.reset()
            self._episode, self._sandbox = episode, stack.pop_all()
        if self._closed:  # meanwhile, by another thread, which saw no sandbox to end
            self._leave()
        self._check_open()
        return observation

    def step(self, action: Action) -> Step:
        """Take a turn: a tool call, a list of them, or a model's turn; one without calls ends the episode.

        A call that is wrong (an unknown tool, a bad input) is run as a job would: its result says what is wrong.

        Raises:
            UsageFault: there is no episode going on (before `reset`, after its end, after `close`), or the action has no
                form that is known; nothing has changed.
            Interrupted: we are stopping.
        """
        episode = self._going_on()
        turn = turn_of(action)
        self._answers.clear()
        try:
            seen = episode.step(turn)
        except InfrastructureFault as fault:
            return self._spoiled(episode, fault)
        if isinstance(seen, Observation):
            return Step(seen, 0.0, terminated=False, truncated=False)
        return self._end(episode, seen)

    @property
    def is_over(self) -> bool:
        """Whether the last episode has ended; False before the first and while one goes on."""
        return self.submission is not None or self._outcome is not None

    def result(self) -> bytes | Outcome:
        """What an episode that is over left: the bytes to grade, or the outcome of one that submitted nothing.

        Raises:
            UsageFault: it is not over.
        """
        if self.submission is not None:
            return self.submission.content
        if self._outcome is None:
            raise UsageFault(
                cause="this environment's episode is not over", hint="step on until it is, or leave it out"
            )
        return self._outcome

    def close(self) -> None:
        """End the sandbox and free the slot; also a second time. What was submitted stays."""
        self._closed = True
        self._leave()
        self._host.left(self)

    def _check_open(self) -> None:
        if self._closed:
            raise UsageFault(cause="this environment is closed", hint="open another with Host.open_episode")

    def _going_on(self) -> Episode:
        self._check_open()
        if self._episode is None:
            raise UsageFault(cause="this environment's episode is over" if self.is_over else "no episode has begun",
                             hint="call reset first")  # fmt: skip
        return self._episode

    def _leave(self) -> None:
        self._episode = None
        self._sandbox.close()

    def _note_answer(self, event: Event) -> None:
        """An ended episode gives no observation, yet its last results are worth seeing."""
        if isinstance(event, ToolResultEvent):
            self._answers.append(
                ToolResult(event.call, event.text, event.is_error, seconds=event.seconds, facts=event.facts)
            )

    def _end(self, episode: Episode, result: EpisodeResult) -> Step:
        seen, ending = self._last_seen(episode), result.summary.ending
        truncated = ending in tuple(Limit)
        self.submission, self._outcome = result.submission, outcome_without_grading(result)
        self._leave()
        graded = self._graded()
        info: dict[str, Any] = {"ending": ending, "reason": NOT_GRADED}
        if graded is not None:
            info |= {"reason": graded.outcome.reason, "outcome": graded.outcome.kind.value, "graded": graded}
        reward = graded.reward if graded is not None else None
        return Step(seen, reward, terminated=not truncated, truncated=truncated, info=info)

    def _graded(self) -> Graded | None:
        """By the rule that was asked for; None where a submission waits for its group."""
        if self._outcome is not None or self._rule is not None:
            return self._host.grade_many([self], reward=self._rule or "pass")[0]
        return None

    def _spoiled(self, episode: Episode, fault: InfrastructureFault) -> Step:
        """The host ended the episode: no failure of the agent's, so there is no reward, not 0."""
        seen = self._last_seen(episode)
        episode.close(EndReason.INFRASTRUCTURE)
        self._outcome = infrastructure(fault.cause, fault.hint)
        self._leave()
        info = {"ending": EndReason.INFRASTRUCTURE.value, "reason": str(fault), "outcome": self._outcome.kind.value}
        return Step(seen, None, terminated=False, truncated=True, info=info)

    def _last_seen(self, episode: Episode) -> Observation:
        left = remaining_limits(self._limits, episode.spent())
        return Observation(episode.instruction, tuple(self._answers), left)
