"""One run, on one page: an episode in its sandbox, and what becomes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from runner.agents.adapter import AgentAdapter
from runner.agents.protocol import AgentContext, MakeAgent
from runner.budget.limits import JOB_DOLLARS, LIMITS
from runner.clock import Clock
from runner.episode.environment import Episode, Played
from runner.episode.loop import play
from runner.episode.workspace import Files
from runner.faults import InfrastructureFault
from runner.grading.rounds import Graded
from runner.records.episode import EpisodeSummary, Limits, Snapshot, Submission
from runner.records.outcome import Infrastructure, NoSubmission, Outcome, SandboxBroken
from runner.records.run import Run, SnapshotGrade
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import AGENT_ROLE, SandboxSpec


@dataclass(frozen=True, slots=True)
class EndedEpisode:
    """An episode that has ended, with what is known of its run before grading.

    Attributes:
        outcome: set where there is nothing to grade.
        snapshots: states of the submission's file, in order, each with where it is kept.
    """

    number: int
    submission: Submission | None
    outcome: Outcome | None
    summary: EpisodeSummary | None = None
    enforced: dict[str, object] | None = None
    snapshots: tuple[SnapshotGrade, ...] = ()


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
    stage: EpisodeConfig, assignment: AgentContext, make_agent: MakeAgent, keep: Callable[[Snapshot], str]
) -> EndedEpisode:
    """Play one episode. A fault of engine, host, endpoint or the agent's code becomes the run's outcome, never a failure.

    Raises:
        Interrupted: we are stopping.
    """
    number, episode, kept = assignment.run, None, _Kept(keep)
    try:
        agent = AgentAdapter(make_agent, assignment)
        with stage.fleet.open(
            stage.spec, "toolserver", role=AGENT_ROLE, cpuset=stage.cpuset, run=str(number)
        ) as sandbox:
            episode = Episode(
                sandbox, assignment.task, stage.limits, stage.instruction, stage.files, agent.with_events(assignment.note),
                assignment.meter, stage.clock, kept.take, dict(agent.tools),
            )  # fmt: skip
            played = play(episode, agent)
            played = replace(played, summary=replace(played.summary, facts=agent.facts))
            return _ended(number, played, dict(sandbox.enforced), kept)
    except InfrastructureFault as fault:
        assignment.note("note", {"text": f"{fault.cause} ({fault.hint})"})
        if episode is not None:
            episode.note = assignment.note  # an agent that was wrong is told nothing more
        outcome = Infrastructure(fault.cause, fault.hint)
        if episode is None:
            return EndedEpisode(number, None, outcome)
        summary = episode.close("infrastructure").summary
        return EndedEpisode(number, None, outcome, summary, snapshots=kept.of(episode.snapshots))


class _Kept:
    """Where snapshots were put away."""

    def __init__(self, keep: Callable[[Snapshot], str]) -> None:
        self._keep = keep
        self._places: dict[str, str] = {}

    def take(self, snapshot: Snapshot) -> str:
        self._places[snapshot.sha256] = self._keep(snapshot)
        return self._places[snapshot.sha256]

    def of(self, snapshots: Sequence[Snapshot]) -> tuple[SnapshotGrade, ...]:
        return tuple(SnapshotGrade(snapshot, self._places.get(snapshot.sha256, "")) for snapshot in snapshots)


def _ended(number: int, played: Played, enforced: dict[str, object], kept: _Kept) -> EndedEpisode:
    outcome: Outcome | None = None
    if played.broken is not None:
        outcome = SandboxBroken(f"the agent's sandbox ended: {played.broken.how}, {played.broken.detail}")
    elif played.submission is None:
        outcome = _none_submitted(played.summary.ending)
    return EndedEpisode(number, played.submission, outcome, played.summary, enforced, kept.of(played.snapshots))


def _none_submitted(ending: str) -> Outcome:
    """The outcome of an episode that ended without a submission; by whose doing, its ending says."""
    if ending == JOB_DOLLARS:
        # What others spent is no failure of this agent's.
        return Infrastructure("the job's dollars were used up before it was done", "raise --job-dollars")
    if ending == "ended":
        return NoSubmission("the agent ended without submitting")
    if ending == "refusal":
        return NoSubmission("the model refused to go on")
    if ending in LIMITS or ending == "context window":
        return NoSubmission(f"the limit on {ending} was reached")
    return NoSubmission(f"the agent ended without submitting ({ending})")


def submit_last_snapshot(episode: EndedEpisode, path: str) -> EndedEpisode:
    """The same, with the last state of its file to be graded where the agent handed in none."""
    cut_off = episode.summary is not None and episode.summary.ending == JOB_DOLLARS
    if not episode.snapshots or not (isinstance(episode.outcome, NoSubmission) or cut_off):
        return episode
    last = episode.snapshots[-1].snapshot
    return replace(episode, submission=Submission(path, last.content, last.turn), outcome=None)


def ungraded(episode: EndedEpisode, snapshots: tuple[SnapshotGrade, ...] | None = None) -> Run:
    """The run of an episode that left nothing to grade."""
    assert episode.outcome is not None
    kept = episode.snapshots if snapshots is None else snapshots
    return Run(episode.number, episode.outcome, episode.summary, enforced={"agent": episode.enforced}, snapshots=kept)


def graded(episode: EndedEpisode, grading: Graded, stored_at: str, snapshots: tuple[SnapshotGrade, ...]) -> Run:
    """The run of an episode whose submission has its verdict."""
    return Run(
        number=episode.number,
        outcome=grading.verdict,
        episode=episode.summary,
        submission=episode.submission,
        findings=grading.findings,
        measurement=grading.measurement,
        correctness=grading.correctness,
        rules=grading.rules,
        notes=grading.notes,
        enforced={"agent": episode.enforced, **grading.enforced},
        stored_at=stored_at,
        snapshots=snapshots,
    )
