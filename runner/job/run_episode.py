"""One run, on one page: an episode in its sandbox, and what becomes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from runner.agents.adapter import AgentAdapter
from runner.agents.protocol import AgentContext, MakeAgent
from runner.budget.clock import Clock
from runner.episode.environment import Episode, EpisodeResult
from runner.episode.loop import run_episode_loop
from runner.faults import InfrastructureFault
from runner.records.episode import EndReason, Limit, Limits, Snapshot, Submission
from runner.records.events import NoteEvent
from runner.records.outcome import Outcome, OutcomeKind, infrastructure
from runner.records.run import Run, SnapshotRecord
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import AGENT_ROLE, SandboxSpec
from runner.sandbox.workspace import Files

NOT_GRADED = "it was not graded yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedEpisode:
    """A run whose episode is over, with the bytes that wait to be graded.

    Attributes:
        run: as it is recorded, but for the grading; its outcome is final where `submission` is None.
        snapshots: contents of `run.snapshots`, in the same order.
    """

    run: Run
    submission: Submission | None = None
    snapshots: tuple[bytes, ...] = ()

    @property
    def number(self) -> int:
        """The run's number."""
        return self.run.number


@dataclass(frozen=True, slots=True)
class EpisodeConfig:
    """Where episodes are played, the same for all of a job.

    Attributes:
        files: what an agent finds in its workspace.
        cpuset: where sandboxes run.
    """

    fleet: Fleet
    spec: SandboxSpec
    limits: Limits
    instruction: str
    files: Files
    cpuset: str
    clock: Clock


def run_episode(
    config: EpisodeConfig, context: AgentContext, make_agent: MakeAgent, store: Callable[[Snapshot], str]
) -> EndedEpisode:
    """Run one episode. A fault of engine, host, endpoint or the agent's code becomes the run's outcome, never a failure.

    Args:
        store: keeps a snapshot; returns where.

    Raises:
        Interrupted: we are stopping.
    """
    number, episode, stored, agent = context.run, None, _StoredSnapshots(store), None
    try:
        agent = AgentAdapter(make_agent, context, config.limits.wall_s)
        with config.fleet.open(
            config.spec, "toolserver", role=AGENT_ROLE, cpuset=config.cpuset, run=str(number)
        ) as sandbox:
            episode = Episode(
                sandbox, context.task, config.limits, config.instruction, config.files, agent.with_events(context.emit),
                context.meter, config.clock, stored.add, dict(agent.tools),
            )  # fmt: skip
            agent.time_limit = episode.time_limit
            result = run_episode_loop(episode, agent)
            result = replace(result, summary=replace(result.summary, facts=agent.facts))
            return _ended(number, result, dict(sandbox.enforced), stored)
    except InfrastructureFault as fault:
        context.emit(NoteEvent(text=f"{fault.cause} ({fault.hint})"))
        if episode is not None:
            episode.emit = context.emit  # an agent that was wrong is told nothing more
        outcome = infrastructure(fault.cause, fault.hint)
        if episode is None:
            return EndedEpisode(run=Run(number=number, outcome=outcome))
        summary = episode.close(EndReason.INFRASTRUCTURE).summary
        run = Run(number=number, outcome=outcome, episode=summary, snapshots=stored.records(episode.snapshots))
        return EndedEpisode(run=run, snapshots=_contents(episode.snapshots))
    finally:
        if agent is not None:
            agent.close()


class _StoredSnapshots:
    """Where snapshots were put away."""

    def __init__(self, store: Callable[[Snapshot], str]) -> None:
        self._store = store
        self._path_of: dict[str, str] = {}

    def add(self, snapshot: Snapshot) -> str:
        self._path_of[snapshot.sha256] = self._store(snapshot)
        return self._path_of[snapshot.sha256]

    def records(self, snapshots: Sequence[Snapshot]) -> tuple[SnapshotRecord, ...]:
        return tuple(SnapshotRecord.of(snapshot, self._path_of.get(snapshot.sha256, "")) for snapshot in snapshots)


def _contents(snapshots: Sequence[Snapshot]) -> tuple[bytes, ...]:
    return tuple(snapshot.content for snapshot in snapshots)


def _ended(number: int, result: EpisodeResult, enforced: dict[str, object], stored: _StoredSnapshots) -> EndedEpisode:
    run = Run(
        number=number,
        outcome=outcome_without_grading(result) or Outcome(OutcomeKind.INFRASTRUCTURE, NOT_GRADED),
        episode=result.summary,
        agent_enforced=enforced,
        snapshots=stored.records(result.snapshots),
    )
    return EndedEpisode(run=run, submission=result.submission, snapshots=_contents(result.snapshots))


def outcome_without_grading(result: EpisodeResult) -> Outcome | None:
    """The outcome of an episode that left nothing to grade; None where it did."""
    if result.broken is not None:
        reason = f"the agent's sandbox ended: {result.broken.how}, {result.broken.detail}"
        return Outcome(OutcomeKind.SANDBOX_BROKEN, reason)
    return _none_submitted(result.summary.ending) if result.submission is None else None


def _none_submitted(ending: str) -> Outcome:
    """The outcome of an episode that ended without a submission; by whose doing, its ending says."""
    if ending == Limit.JOB_DOLLARS:
        # What others spent is not a failure of this agent's.
        return infrastructure("the job's cost limit was reached before it was done", "raise --job-cost-limit")
    if ending == EndReason.ENDED:
        reason = "the agent ended without submitting"
    elif ending == EndReason.REFUSAL:
        reason = "the model refused to go on"
    elif ending in (*Limit, EndReason.CONTEXT_WINDOW):
        reason = f"the limit on {ending} was reached"
    else:
        reason = f"the agent ended without submitting ({ending})"
    return Outcome(OutcomeKind.NO_SUBMISSION, reason)


def submit_last_snapshot(episode: EndedEpisode, path: str) -> EndedEpisode:
    """The same, with the last state of its file to be graded where the agent did not submit any."""
    run = episode.run
    cut_off = run.episode is not None and run.episode.ending == Limit.JOB_DOLLARS
    if not episode.snapshots or not (run.outcome.kind is OutcomeKind.NO_SUBMISSION or cut_off):
        return episode
    return replace(
        episode, submission=Submission(path=path, content=episode.snapshots[-1], snapshot_turn=run.snapshots[-1].turn)
    )
