"""An episode as an environment: `reset` gives the first observation, `step` takes a turn. It does not own the loop.

So its driver (`loop.run_episode_loop`, or a trainer) decides where turns come from. A step runs the turn's calls in the
container one after the other, checks whether the submission's file has changed, and says what remains. An episode is over
when the agent submits, says nothing more, reaches a limit, or has ruined its sandbox; a fault of ours is an exception.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

from runner.agents.protocol import ExtraTool, Observation
from runner.agents.tool_results import error_of
from runner.budget.clock import Clock, SystemClock
from runner.budget.ledger import Meter
from runner.budget.limits import reached, remaining_limits
from runner.episode.steps import instruction_of_step, prepare_step
from runner.episode.tools import CALLS_PER_TURN_MAX, Accepted, ToolOutcome, run_tool
from runner.faults import WorkspaceFault
from runner.records.bundle import pack_steps
from runner.records.episode import (
    EndReason,
    EpisodeSummary,
    Limit,
    Limits,
    Snapshot,
    Spent,
    Submission,
    ToolCall,
    ToolResult,
    Turn,
)
from runner.records.events import (
    BudgetEvent,
    EndEvent,
    EventSink,
    NoteEvent,
    SnapshotEvent,
    ToolResultEvent,
    TurnEvent,
)
from runner.sandbox.container import ExitCause, GuestExit, Received, Sandbox
from runner.sandbox.workspace import FILE_DEADLINE_S, Files, populate_workspace
from runner.tasks.task import Task

BROKEN_CHARS_MAX = 500  # of an input that cannot be read, enough to see what is wrong with it
ONLY_CHANCE = "the next command that cannot be run ends the episode."
NOT_THE_AGENTS = (EndReason.INFRASTRUCTURE, Limit.JOB_DOLLARS)  # endings that say nothing of its sandbox
SNAPSHOTS_MAX = 200  # chosen: far over what an episode of 100 turns leaves; bounds what a guest can fill a disk with


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """How an episode ended, and what it left.

    Attributes:
        submission: the bytes that were submitted; None: nothing was.
        broken: how the sandbox ended, where the agent ruined it.
        snapshots: states of the submission's file, in order.
    """

    summary: EpisodeSummary
    submission: Submission | None
    broken: GuestExit | None = None
    snapshots: tuple[Snapshot, ...] = ()


@dataclass
class Episode:
    """One episode over one open sandbox.

    Attributes:
        files: (path, bytes) of what the agent finds in its workspace.
        emit: called with each event as it happens, for the transcript.
        meter: what the agent's model has used.
        keep: called with each snapshot; says where it was kept.
        extra: tools besides the usual ones, by name.
        ruined: why there is no shell any more, once the agent was told; it may still submit.
    """

    sandbox: Sandbox
    task: Task
    limits: Limits
    instruction: str
    files: Files = ()
    emit: EventSink = lambda event: None
    meter: Meter = field(default_factory=Meter)
    clock: Clock = field(default_factory=SystemClock)
    keep: Callable[[Snapshot], str] = lambda snapshot: ""
    extra: dict[str, ExtraTool] = field(default_factory=dict)
    turns: int = 0
    calls: int = 0
    submission: Submission | None = None
    broken: GuestExit | None = None
    ruined: GuestExit | None = None
    snapshots: list[Snapshot] = field(default_factory=list)
    _started_s: float = 0.0
    _wall_started_s: float = 0.0
    _looked: tuple[float, float, float] = (0.0, 0.0, 0.0)
    _waited_s: float = 0.0
    _last_hash: str = ""
    _works: list[bytes] = field(default_factory=list)

    def reset(self) -> Observation:
        """Populate the workspace; the first observation.

        Raises:
            SandboxLost: a file could not be put there.
        """
        self._start_clocks()
        if self.task.kind == "tests":
            prepare_step(self.sandbox, self.task, 0)
        populate_workspace(self.sandbox, self.files)
        self._start_clocks()
        read = self._read_submission()
        self._last_hash = _hash(read) if read is not None else ""  # what it found there is nobody's work
        return self._observe(())

    def step(self, turn: Turn) -> Observation | EpisodeResult:
        """Take a turn: what the agent sees next, or the end.

        Raises:
            InfrastructureFault: engine or host failed.
            Interrupted: we are stopping.
        """
        self._record_turn(turn)
        if not turn.calls and not turn.goes_on:
            return self.end(turn.ending or EndReason.ENDED)
        results = self._run_calls(turn)
        if self.broken is not None:
            return self.close(EndReason.SANDBOX_BROKEN)
        if self.submission is not None:
            return self.close(EndReason.SUBMITTED)
        limit = next((result.limit_reached for result in results if result.limit_reached), None)
        self._snapshot()
        remaining = remaining_limits(self.limits, self.spent())
        self.emit(BudgetEvent(turn=self.turns, spent=self.spent(), left=remaining))
        limit = limit or reached(remaining)
        return self._observe(results) if limit is None else self.end(limit)

    def _start_clocks(self) -> None:
        self._started_s, self._wall_started_s = self.sandbox.active_s(), self.clock.monotonic()
        self._looked = (self._started_s, self._wall_started_s, 0.0)

    def spent(self) -> Spent:
        """What the episode has used so far."""
        used, now_s, wall_now_s = self.meter.reading, self.sandbox.active_s(), self.clock.monotonic()
        before_s, wall_before_s, waited_before_s = self._looked
        # A wait while the sandbox stood frozen is not counted already.
        frozen_s = (wall_now_s - wall_before_s) - (now_s - before_s)
        self._waited_s += max(0.0, used.waited_s - waited_before_s - max(0.0, frozen_s))
        self._looked = (now_s, wall_now_s, used.waited_s)
        working_s = max(0.0, now_s - self._started_s - self._waited_s)
        turns = used.turns or self.turns
        return Spent(
            turns=turns,
            usage=used.usage,
            dollars=used.dollars,
            wall_s=wall_now_s - self._wall_started_s,
            working_s=working_s,
        )

    def time_limit(self) -> Limit | None:
        """The limit whose time is up, asked while the agent is at work; what waited and stood frozen counts for it."""
        used, (_, _, waited_before_s) = self.meter.reading, self._looked
        waited_s = self._waited_s + used.waited_s - waited_before_s
        working_s = max(0.0, self.sandbox.active_s() - self._started_s - waited_s)
        spent = Spent(wall_s=self.clock.monotonic() - self._wall_started_s, working_s=working_s)
        return reached(remaining_limits(Limits(wall_s=self.limits.wall_s, working_s=self.limits.working_s), spent))

    def end(self, ending: str) -> EpisodeResult:
        """The episode is over without a word from the agent: where a script tests what it left, that is the submission."""
        if self.task.kind == "tests" and self.broken is None and ending not in NOT_THE_AGENTS:
            call = ToolCall("end", "submit", {"path": "."})
            outcome = run_tool(self.sandbox, call, Accepted.at_step(self.task, len(self._works)))
            if isinstance(outcome, GuestExit):
                self.broken = outcome
                return self.close(EndReason.SANDBOX_BROKEN)
            if outcome.submission is None:
                self.emit(NoteEvent(text=f"what the agent left is not taken: {outcome.result.text}"))
            else:
                self.submission = self._whole(outcome.submission)
        return self.close(ending)

    def _whole(self, submission: Submission) -> Submission:
        return replace(submission, content=self._with_earlier(submission.content))

    def _with_earlier(self, content: bytes) -> bytes:
        """A step's work, with that of the steps before it."""
        return pack_steps([*self._works, content])

    def close(self, ending: str) -> EpisodeResult:
        """The episode is over."""
        if self.ruined is not None and self.submission is None and ending not in NOT_THE_AGENTS:
            self.broken, ending = self.broken or self.ruined, EndReason.SANDBOX_BROKEN
        spent = self.spent()
        summary = EpisodeSummary(
            turns=spent.turns,
            calls=self.calls,
            seconds=self.sandbox.active_s() - self._started_s,
            ending=ending,
            dollars=spent.dollars,
            usage=spent.usage,
            working_s=spent.working_s,
        )
        self.emit(
            EndEvent(
                ending=ending,
                turns=summary.turns,
                calls=summary.calls,
                seconds=summary.seconds,
                dollars=summary.dollars,
                usage=summary.usage,
                working_s=summary.working_s,
            )
        )
        return EpisodeResult(summary, self.submission, self.broken, tuple(self.snapshots))

    # One turn

    def _observe(self, results: tuple[ToolResult, ...]) -> Observation:
        return Observation(self.instruction, results, remaining_limits(self.limits, self.spent()))

    def _record_turn(self, turn: Turn) -> None:
        self.turns += 1
        dollars = self.meter.reading.dollars
        self.emit(TurnEvent(turn=self.turns, say=turn.say, calls=turn.calls, dollars=dollars, ending=turn.ending))

    def _run_calls(self, turn: Turn) -> tuple[ToolResult, ...]:
        """One result for each call, in order, also for those that are not run."""
        results: list[ToolResult] = []
        for place, call in enumerate(turn.calls):
            remaining = remaining_limits(self.limits, self.spent())
            skip_reason = _skip_reason(place, remaining)
            if skip_reason:
                results.append(ToolResult(call.id, f"not run: {skip_reason}", is_error=True))
                self.emit(_event_of(results[-1]))
                continue
            outcome = self._told_once(call, self._run(call, _seconds(remaining)))
            self.calls += 1
            if isinstance(outcome, GuestExit):
                self.broken = outcome
                break
            following = self._next_step(outcome)
            if isinstance(following, GuestExit):
                self.broken = following
                break
            outcome = following
            results.append(outcome.result)
            self.emit(_event_of(outcome.result))
            self.submission = None if outcome.submission is None else self._whole(outcome.submission)
            if self.submission is not None or outcome.result.limit_reached:
                break
        return tuple(results)

    def _run(self, call: ToolCall, seconds_max: float) -> ToolOutcome | GuestExit:
        if call.broken:
            text = f"the input of {call.tool} is not a JSON object: {call.broken[:BROKEN_CHARS_MAX]}"
            return ToolOutcome(error_of(call, text))
        if call.tool in self.extra:
            result = self.extra[call.tool](self.sandbox, call)
            return result if isinstance(result, GuestExit) else ToolOutcome(result)
        return run_tool(self.sandbox, call, self._accepted(), seconds_max)

    def _accepted(self) -> Accepted:
        return Accepted.at_step(self.task, len(self._works))

    def _next_step(self, outcome: ToolOutcome) -> ToolOutcome | GuestExit:
        """Where a task goes on after a submission: keep that work, and say what is asked for next.

        A workspace that cannot take what the next step needs is as the agent made it.

        Raises:
            SandboxLost: the container was lost, which is no agent's doing.
        """
        if outcome.submission is None or len(self._works) + 1 >= len(self.task.steps):
            return outcome
        self._works.append(outcome.submission.content)
        number = len(self._works)
        try:
            prepare_step(self.sandbox, self.task, number)
        except WorkspaceFault as refused:
            return GuestExit(ExitCause.RUINED, refused.cause)
        said = f"{outcome.result.text}\nStep {number} of {len(self.task.steps)} is done. What is asked for next:\n\n"
        text = instruction_of_step(self.task, number)
        return ToolOutcome(replace(outcome.result, text=said + text))

    def _told_once(self, call: ToolCall, outcome: ToolOutcome | GuestExit) -> ToolOutcome | GuestExit:
        """A shell that cannot be started is an answer, for once: the file may be there already, and can be submitted."""
        if isinstance(outcome, ToolOutcome):
            self.ruined = None if "exit_status" in outcome.result.facts else self.ruined
            return outcome
        if outcome.how is not ExitCause.RUINED or self.ruined is not None:
            return outcome
        self.ruined = outcome
        return ToolOutcome(error_of(call, f"{outcome.detail}\nSubmit the file now if it is there: {ONLY_CHANCE}"))

    # Snapshots

    def _snapshot(self) -> None:
        content = self._read_submission()
        if content is None or _hash(content) == self._last_hash:
            return
        if len(self.snapshots) >= SNAPSHOTS_MAX:
            self.snapshots.pop()  # the last state is worth more than the one before it
        self._last_hash = _hash(content)
        spent = self.spent()
        snapshot = Snapshot(
            turn=self.turns, content=content, usage=spent.usage, dollars=spent.dollars, working_s=spent.working_s
        )
        self.snapshots.append(snapshot)
        path = self.keep(snapshot)
        self.emit(SnapshotEvent(turn=self.turns, sha256=snapshot.sha256, bytes=len(content), stored_at=path))

    def _read_submission(self) -> bytes | None:
        """The file as it is now; None where there is none that could be submitted."""
        head = {"op": "read", "path": self.task.file.submission.file, **asdict(self._accepted())}
        got = self.sandbox.ask(head, deadline_s=FILE_DEADLINE_S)
        if not isinstance(got, Received) or not got.frame.head.get("ok"):
            return None
        return self._with_earlier(got.frame.body)


def _skip_reason(place: int, remaining: Limits) -> str:
    """Why the call at this place of a turn is not run; empty: it is."""
    if place >= CALLS_PER_TURN_MAX:
        return f"{CALLS_PER_TURN_MAX} calls a turn are allowed"
    limit = reached(Limits(wall_s=remaining.wall_s, working_s=remaining.working_s))
    return f"the limit on {limit} was reached" if limit else ""


def _seconds(remaining: Limits) -> float:
    """The longest that a call may take: what remains of the episode."""
    return min(s for s in (remaining.wall_s, remaining.working_s, math.inf) if s is not None)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _event_of(result: ToolResult) -> ToolResultEvent:
    return ToolResultEvent(
        call=result.call_id,
        text=result.text,
        is_error=result.is_error,
        seconds=round(result.seconds, 6),
        facts=result.facts,
    )
