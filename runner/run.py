"""One run, on one page: an episode in its sandbox, and what becomes of it."""

from dataclasses import dataclass

from runner.agents.protocol import Agent
from runner.episode.loop import Arrays, Note, Played, furnish, play
from runner.faults import InfrastructureFault
from runner.grading.rounds import Graded
from runner.records.outcome import Infrastructure, NoSubmission, Outcome, SandboxBroken
from runner.records.run import EpisodeSummary, Run
from runner.records.submission import Submission
from runner.sandbox.container import Fleet
from runner.sandbox.spec import SandboxSpec
from runner.task import Task

AGENT_ROLE = "agent"


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode that has ended, with what is known of its run before grading.

    Attributes:
        outcome: set where there is nothing to grade.
    """

    number: int
    submission: Submission | None
    outcome: Outcome | None
    summary: EpisodeSummary | None = None
    enforced: dict[str, object] | None = None


def run_episode(
    fleet: Fleet, spec: SandboxSpec, task: Task, agent: Agent, number: int, instruction: str, sample: Arrays | None,
    cpuset: str, note: Note,
) -> Episode:  # fmt: skip
    """Play one episode. A fault of the engine's or the host's becomes the run's outcome, never the agent's failure.

    Raises:
        Interrupted: we are stopping.
    """
    try:
        with fleet.open(spec, "toolserver", role=AGENT_ROLE, cpuset=cpuset, run=str(number)) as sandbox:
            furnish(sandbox, task, sample)
            played = play(sandbox, task, agent, instruction, note)
            return _ended(number, played, dict(sandbox.enforced))
    except InfrastructureFault as fault:
        return Episode(number, None, Infrastructure(fault.cause, fault.mend))


def _ended(number: int, played: Played, enforced: dict[str, object]) -> Episode:
    outcome: Outcome | None = None
    if played.broken is not None:
        outcome = SandboxBroken(f"the agent's sandbox ended: {played.broken.how}, {played.broken.detail}")
    elif played.submission is None:
        outcome = NoSubmission(_why_none(played.summary.ending))
    return Episode(number, played.submission, outcome, played.summary, enforced)


def _why_none(ending: str) -> str:
    return "the agent ended without submitting" if ending == "ended" else f"the limit on {ending} was reached"


def ungraded(episode: Episode) -> Run:
    """The run of an episode that left nothing to grade."""
    assert episode.outcome is not None
    return Run(episode.number, episode.outcome, episode.summary, enforced={"agent": episode.enforced})


def graded(episode: Episode, grading: Graded, stored_at: str) -> Run:
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
    )
