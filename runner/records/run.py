"""A job, its runs and their totals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runner.records.episode import EpisodeSummary, Limits, Snapshot, Submission
from runner.records.grading import Equivalence, Grading, Interval
from runner.records.outcome import Outcome, OutcomeKind

# The form of results.json and job.json. 2: `quality` and `hint` have these names (`runner.store.results` reads form 1).
SCHEMA = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class GradingConfig:
    """How submissions are graded.

    Attributes:
        rounds_max: most rounds of one grading; None: the task's.
        equivalence: of all components; None: what the task says of each.
        strict: equivalence is required, and every warning fails.
        max_noise: refuse a host whose certificate says that a round's ratio varies by more percent; None: any host.
        calibrate: certify a host without a certificate by what its gradings measure, and use such a certificate.
        slots: how many submissions are measured at once, each on cores of its own; 0: as many as a calibration has proved.
    """

    rounds_max: int | None = None
    equivalence: Equivalence | None = None
    strict: bool = False
    max_noise: float | None = None
    calibrate: bool = True
    slots: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobConfig:
    """What was asked for, resolved: flags over the environment over the task. Written to job.json before anything starts.

    Holds no secret. Defaults are for what an older job.json does not say.

    Attributes:
        task: its name.
        task_digest: SHA-256 over the task's files.
        scale: one of the task's.
        agent: name, `replay:PATH` or `FILE.py:Class`.
        runs: how many.
        concurrency: episodes at a time; 0 until an engine says how many it can take.
        grade_after_s: a waiting submission is graded after this many seconds even while episodes run (these are frozen
            meanwhile); None: when all episodes are over.
        name: of the job, and of its folder.
        grading: how submissions are graded.
        target: speed-up asked for, a ratio; None where quality alone counts.
        started: date and time, ISO 8601, UTC.
        model: its name; empty for agents without one.
        dollars_max: of the whole job, US dollars; None: no cap.
        limits: of each episode.
        grade_last: grade the last state of the file where nothing was submitted.
        grade_snapshots: grade every state of the file.
        api: what the model's endpoint speaks: `anthropic` or `openai`.
        tools: how tools are shown to the model: `schema` or `native`.
        thinking: extended thinking: `off`, `adaptive`, or a number of tokens; empty: not said.
        max_tokens: most tokens in one response.
        context_tokens: above this many tokens the oldest tool outputs are cleared.
        system_prompt: path of a file that replaces the model's system prompt; empty: the task's, or the runner's own.
        price: IN/OUT, US dollars per million tokens; empty: the tables' price.
        price_check: a model without a known price is refused.
        preflight: the model is asked one word before anything starts.
        command: of the agent `command`: the command line that runs in the sandbox.
        uploads: of the agent `command`: paths of the files put into its workspace.
        replay_ignore: of the agent `replay`: a regular expression of what may differ between outputs.
        fail_under: pass rate (0 to 1) under which the exit status is 1.
        runtime: OCI runtime of every sandbox; empty: the engine's default.
    """

    task: str = ""
    task_digest: str = ""
    scale: str = ""
    agent: str = ""
    runs: int = 0
    concurrency: int = 0
    name: str = ""
    grade_after_s: float | None = None
    grading: GradingConfig = GradingConfig()
    target: float | None = None
    started: str = ""
    model: str = ""
    dollars_max: float | None = None
    limits: Limits = Limits()
    grade_last: bool = False
    grade_snapshots: bool = False
    api: str = "anthropic"
    tools: str = "schema"
    thinking: str = ""
    max_tokens: int = 0
    context_tokens: int = 0
    system_prompt: str = ""
    price: str = ""
    price_check: bool = True
    preflight: bool = True
    command: str = ""
    uploads: tuple[str, ...] = ()
    replay_ignore: str = ""
    fail_under: float | None = None
    runtime: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts over the runs; the pass rate leaves out what is shown apart.

    Attributes:
        runs: all of them.
        counted: those whose outcome counts.
        passed: those that count and passed.
        failed: those that count and did not pass.
        inconclusive: those that could not be decided; not counted.
        infrastructure: those that a fault of the host or an endpoint ended; not counted.
        pass_rate: passed / counted; None when nothing counts.
        pass_rate_low: how low the noise of the measurement alone could have moved it (95 %).
        pass_rate_high: how high, likewise.
        seconds: wall clock of the whole job.
        dollars: what the model cost in all of them, US dollars.
    """

    runs: int = 0
    counted: int = 0
    passed: int = 0
    failed: int = 0
    inconclusive: int = 0
    infrastructure: int = 0
    pass_rate: float | None = None
    seconds: float = 0.0
    dollars: float = 0.0
    pass_rate_low: float | None = None
    pass_rate_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRecord:
    """What is recorded of a submission; its bytes are in the run's folder.

    Attributes:
        path: as the agent named it; hostile text.
        sha256: of the content, hex.
        bytes: length of the content.
        stored_at: where the file was kept, relative to the working directory of the job; empty: nowhere.
        snapshot_turn: the turn after which it was taken, where nothing was submitted and the last state of the file was
            graded instead; None for what was submitted.
    """

    path: str
    sha256: str
    bytes: int
    stored_at: str = ""
    snapshot_turn: int | None = None

    @classmethod
    def of(cls, submission: Submission, stored_at: str) -> "SubmissionRecord":
        """The record of a submission that is kept at a path."""
        return cls(
            path=submission.path,
            sha256=submission.sha256,
            bytes=len(submission.content),
            stored_at=stored_at,
            snapshot_turn=submission.snapshot_turn,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRecord:
    """A state of the submission's file after a turn that changed it, and what it came to where it was graded.

    Attributes:
        turn: after which the file had this state, from 1.
        sha256: hash of its content, in hex.
        bytes: length of its content.
        stored_at: where it was kept; empty: nowhere.
        tokens: what the episode had used by then, sent and received.
        dollars: what it had cost by then, US dollars.
        working_s: seconds that it had worked by then.
        outcome: how it was graded; None where it was not.
        speedup: its ratio; None where it was not graded.
        quality: the candidate's mean; None where it was not graded.
    """

    turn: int
    sha256: str
    bytes: int
    stored_at: str = ""
    tokens: int = 0
    dollars: float = 0.0
    working_s: float = 0.0
    outcome: Outcome | None = None
    speedup: Interval | None = None
    quality: float | None = None

    @classmethod
    def of(cls, snapshot: Snapshot, stored_at: str) -> "SnapshotRecord":
        """The record of a snapshot that is kept at a path and not graded yet."""
        return cls(
            turn=snapshot.turn,
            sha256=snapshot.sha256,
            bytes=len(snapshot.content),
            stored_at=stored_at,
            tokens=snapshot.usage.total,
            dollars=snapshot.dollars,
            working_s=snapshot.working_s,
        )

    def graded(self, grading: Grading) -> "SnapshotRecord":
        """The same with its grading."""
        return replace(
            self,
            outcome=grading.outcome,
            speedup=grading.measurement.speedup if grading.measurement else None,
            quality=grading.quality.candidate if grading.quality else None,
        )


def best_so_far(snapshots: Sequence[SnapshotRecord]) -> list[float | None]:
    """For each snapshot, the best speed-up of those so far that pass (1.0 where speed is not measured); None before one."""
    best: float | None = None
    bests = []
    for snapshot in snapshots:
        if snapshot.outcome is not None and snapshot.outcome.kind is OutcomeKind.PASSED:
            ratio = snapshot.speedup.estimate if snapshot.speedup is not None else 1.0
            best = ratio if best is None else max(best, ratio)
        bests.append(best)
    return bests


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: its episode, what it submitted, and the grading of that.

    Attributes:
        number: from 1.
        outcome: the grading's, or how the episode ended where it left nothing to grade.
        episode: None for a file that was graded without an agent, and where no sandbox was made.
        grading: None where nothing was submitted.
        agent_enforced: what the engine said it enforced for the agent's container, placement masked.
        snapshots: states of the submission's file while the agent worked, graded where that was asked for.
        host: that it was played and graded on, where a job has several; empty: this one.
        lost_on: hosts that were lost while they had it, before this one took it up.
    """

    number: int
    outcome: Outcome
    episode: EpisodeSummary | None = None
    submission: SubmissionRecord | None = None
    grading: Grading | None = None
    agent_enforced: Mapping[str, Any] | None = None
    snapshots: tuple[SnapshotRecord, ...] = ()
    host: str = ""
    lost_on: tuple[str, ...] = ()

    @property
    def speedup(self) -> Interval | None:
        """The measured speed-up; None where none was measured."""
        return self.grading.measurement.speedup if self.grading and self.grading.measurement else None

    @property
    def enforced(self) -> dict[str, Any]:
        """For `agent`, `baseline` and `candidate`: what the engine said it enforced."""
        return {"agent": self.agent_enforced, **(self.grading.enforced if self.grading is not None else {})}
