"""A job on one page: play the episodes, take the measuring slot, grade, record, report.

Episodes run side by side in threads; this thread waits for them, and grades the submissions that wait: when no episode
needs the CPUs any more, or when one has waited long enough. Episodes that still run then stand frozen meanwhile.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runner.agents.protocol import AgentContext, MakeAgent
from runner.budget.ledger import Ledger
from runner.episode.workspace import Arrays, workspace_files
from runner.faults import Fault, InfrastructureFault, Interrupted
from runner.grading.context import Candidate, GradingContext
from runner.grading.grade import measurement_session
from runner.grading.pass_rate import pass_rate_interval, summarize_runs
from runner.grading.rounds import Graded, grade
from runner.job.batch import Batch
from runner.job.policy import grade_now
from runner.job.run_episode import EndedEpisode, EpisodeConfig, run_episode, submit_last_snapshot
from runner.records.episode import Snapshot
from runner.records.events import Event, StartEvent
from runner.records.grading import GradingPhase, GradingStep
from runner.records.outcome import infrastructure
from runner.records.run import JobConfig, Run, Totals
from runner.sandbox.lock import all_cpus
from runner.store.job_folder import JobFolder
from runner.store.results import results_json
from runner.tasks.problem import generate

POLL_S = 0.2  # chosen: how late a finished episode may be noticed


@dataclass
class Job:
    """Everything a job needs, assembled by `runner.commands`.

    Attributes:
        context: where and by what rules submissions are graded; its sandboxes are those of the episodes, too.
        waiting: ended episodes that are not graded yet, and since when.
        report: called with each run as soon as its outcome is final.
        on_event: called with each event of an episode, and the number of its run, as soon as it is written.
        ledger: the job's dollars.
        start_event: what every transcript begins with; only the run's number is filled in.
    """

    config: JobConfig
    context: GradingContext
    make_agent: MakeAgent
    stop_agents: Callable[[], None]
    folder: JobFolder
    lock: dict[str, Any]
    report: Callable[[Run], None]
    on_event: Callable[[int, Event], None] = lambda number, event: None
    ledger: Ledger = field(default_factory=lambda: Ledger(None))
    start_event: StartEvent = field(default_factory=lambda: StartEvent(run=0))
    runs: list[Run] = field(default_factory=list)
    stored: dict[int, str] = field(default_factory=dict)
    waiting: dict[int, tuple[EndedEpisode, float]] = field(default_factory=dict)
    started_s: float = 0.0

    def totals(self) -> Totals:
        counted = summarize_runs(self.runs, self.context.clock.monotonic() - self.started_s)
        low, high = pass_rate_interval(self.runs) or (None, None)
        spent = max(counted.dollars, self.ledger.account.spent)
        return replace(counted, pass_rate_low=low, pass_rate_high=high, dollars=spent)

    def play(self) -> bool:
        """The whole job; whether it was interrupted. What is finished is kept and reported in any case."""
        self.started_s = self.context.clock.monotonic()
        self._record()
        pool = ThreadPoolExecutor(self.config.concurrency, "episode")
        try:
            self._play(pool)
            return False
        except (KeyboardInterrupt, Interrupted):
            self.context.report_step(GradingStep(GradingPhase.NOTE, "stopping: what is finished is kept"))
            self._keep_waiting()
            return True
        finally:
            self.stop_agents()
            self.context.fleet.stop()
            pool.shutdown(cancel_futures=True)
            self._record()

    def _play(self, pool: ThreadPoolExecutor) -> None:
        episodes = self._episode_config()
        numbers = {pool.submit(self._episode, number, episodes): number for number in range(1, self.config.runs + 1)}
        going = set(numbers)
        while going or self.waiting:
            done, going = wait(going, timeout=POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                self._take(future, numbers[future])
            since = [at for _, at in self.waiting.values()]
            if grade_now(since, len(going), self.context.clock.monotonic(), self.config.grade_after_s):
                self._grade([episode for episode, _ in self.waiting.values()])

    def _take(self, future: Future[EndedEpisode | None], number: int) -> None:
        error = future.exception()
        if isinstance(error, Fault):
            raise error
        if error is not None:  # a mistake of ours in one episode must not end those beside it
            cause = f"the episode ended with {type(error).__name__}: {error}"
            outcome = infrastructure(cause, "please report it, with the job's folder")
            episode: EndedEpisode | None = EndedEpisode(run=Run(number=number, outcome=outcome))
        else:
            episode = future.result()
        if episode is None:
            return
        if self.config.grade_last:
            episode = submit_last_snapshot(episode, self.context.task.file.submission.file)
        snapshots = episode.snapshots if self.config.grade_snapshots else ()
        if episode.submission is None and not snapshots:
            self._finish(episode.run)
            return
        if episode.submission is not None:  # before it is graded: nothing is lost when we are stopped
            self.stored[number] = self._keep(number, episode.submission.content)
        self.waiting[number] = (episode, self.context.clock.monotonic())

    def _keep_waiting(self) -> None:
        """We are stopped: what was not graded yet stays in the record, to be graded later."""
        fault = infrastructure("stopped before it was graded", f"python -m runner regrade {self.folder.path}")
        episodes = [episode for episode, _ in self.waiting.values()]
        for run in Batch(episodes, self.stored, self.config.grade_snapshots).give_up(fault):
            self._finish(run)

    # Episodes

    def _episode_config(self) -> EpisodeConfig:
        context = self.context
        files = tuple(workspace_files(context.task, self._sample()))
        instruction, cpuset = context.task.instruction(self.config.scale), all_cpus(context.fleet.engine)
        return EpisodeConfig(context.fleet, context.spec, self.config.limits, instruction, files, cpuset, context.clock)

    def _sample(self) -> Arrays | None:
        """The data that agents find in their workspace: of a public seed, labels included."""
        section = self.context.task.file.workspace.sample
        if section is None:
            return None
        case = generate(self.context.problem, self.context.task, section.scale, section.seed)
        return {**case.inputs, **{f"hidden_{name}": array for name, array in case.hidden.items()}}

    def _episode(self, number: int, episodes: EpisodeConfig) -> EndedEpisode | None:
        """Play one; None where the job's dollars ended before it began."""
        if self.ledger.exhausted:
            return None

        def emit(event: Event) -> None:
            self.folder.append_event(number, event, self.context.clock.now().isoformat())
            self.on_event(number, event)

        def keep(snapshot: Snapshot) -> str:
            suffix = Path(self.context.task.file.submission.file).suffix
            return str(self.folder.keep_snapshot(number, f"{snapshot.sha256}{suffix}", snapshot.content))

        emit(replace(self.start_event, run=number))
        return run_episode(episodes, AgentContext(self.context.task, number, emit), self.make_agent, keep)

    # Grading

    def _grade(self, episodes: list[EndedEpisode]) -> None:
        batch = Batch(episodes, self.stored, self.config.grade_snapshots)
        try:
            for graded in self._gradings(batch.candidates):
                run = batch.add(graded)
                if run is not None:
                    self._finish(run)
        except InfrastructureFault as fault:
            for run in batch.give_up(infrastructure(fault.cause, fault.hint)):
                self._finish(run)

    def _gradings(self, candidates: list[Candidate]) -> Iterator[Graded]:
        with measurement_session(self.context) as context:
            yield from grade(context, candidates)

    # The record

    def _keep(self, number: int, content: bytes) -> str:
        return str(self.folder.keep_submission(number, self.context.task.file.submission.file, content))

    def _finish(self, run: Run) -> None:
        self.waiting.pop(run.number, None)
        self.runs.append(run)
        try:
            self._record()  # before it is printed: who reads the line may look there
        finally:
            self.report(run)  # in any case: a disk that is full must not swallow a verdict

    def _record(self) -> None:
        self.folder.write_json("results.json", results_json(self.config, self.runs, self.totals(), self.lock))
