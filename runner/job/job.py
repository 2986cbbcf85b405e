"""A job on one page: play the episodes, take the measuring slot, grade, record, report.

Episodes run side by side in threads; this thread waits for them, and grades the submissions that wait: when no episode
needs the CPUs any more, or when one has waited long enough. Episodes that still run then stand frozen meanwhile.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from runner.agents.protocol import AgentContext, MakeAgent
from runner.budget.ledger import Ledger
from runner.faults import Fault, InfrastructureFault, Interrupted, StoreFault
from runner.grading.context import Candidate, GradingContext
from runner.grading.grade import grade_candidates, grading_session
from runner.grading.pass_rate import job_totals
from runner.grading.standing import Graded
from runner.job.batch import Batch
from runner.job.policy import grade_now
from runner.job.resume import Remains, submitted_entry
from runner.job.run_episode import EndedEpisode, EpisodeConfig, run_episode, submit_last_snapshot
from runner.job.setup import agent_files
from runner.records.episode import Snapshot
from runner.records.events import Event, StartEvent
from runner.records.grading import GradingPhase, GradingStep
from runner.records.outcome import OutcomeKind, infrastructure
from runner.records.run import JobConfig, Run, Totals
from runner.sandbox.lock import all_cpus
from runner.store.job_folder import JobFolder
from runner.store.journal import EntryKind
from runner.store.results import results_json, run_json

# chosen: how late it may be noticed that a submission has waited long enough; an episode that ends is seen at once
POLL_S = 0.2


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
        remains: what is there already of a job that is resumed.
        numbers: of the runs that are played here, where other hosts play the rest; None: all.
        on_note: called with each line that the journal gets, after it is written.
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
    _begun: dict[Future[EndedEpisode | None], int] = field(default_factory=dict)
    remains: Remains | None = None
    numbers: tuple[int, ...] | None = None
    on_note: Callable[[EntryKind, dict[str, Any]], None] = lambda kind, content: None

    def __post_init__(self) -> None:
        if self.remains is not None:
            self.runs = list(self.remains.finished)

    @property
    def budget_ended(self) -> bool:
        """Whether too few of the job's dollars were left for a turn."""
        return self.ledger.exhausted

    @property
    def leaks(self) -> Sequence[str]:
        """Containers that may be left over, by id."""
        return self.context.fleet.leaks

    def totals(self) -> Totals:
        before_s = self.remains.seconds if self.remains is not None else 0.0
        seconds = before_s + self.context.clock.monotonic() - self.started_s
        return job_totals(self.runs, seconds, self.ledger.account.spent)

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
            self._take_unseen(lambda episode: True)
            self._keep_waiting()
            self._end_episodes(pool)
            # One that ends without a submission now may do so since we end it.
            self._take_unseen(lambda episode: episode.submission is not None)
            self._keep_waiting()
            return True
        except Fault:  # the job cannot go on: an episode that was over is not to be played, and paid for, again
            with contextlib.suppress(StoreFault):  # as far as the disk takes it
                self._take_unseen(lambda episode: True)
            raise
        finally:
            self._end_episodes(pool)
            self.context.fleet.remove_rest()
            self._record()

    def _end_episodes(self, pool: ThreadPoolExecutor) -> None:
        self.stop_agents()
        self.context.fleet.stop()
        pool.shutdown(cancel_futures=True)

    def _take_up(self) -> None:
        """What is there of a job that is resumed: final runs are reported again, episodes that were over wait."""
        if self.remains is None:
            return
        for run in self.remains.finished:
            self.report(run)
        for episode in self.remains.waiting:
            if episode.submission is not None:
                self.stored[episode.number] = self._keep(episode.number, episode.submission.content)
            self.waiting[episode.number] = (episode, self.started_s)

    def _play(self, pool: ThreadPoolExecutor) -> None:
        self._take_up()
        episodes = self._episode_config()
        known = {run.number for run in self.runs} | self.waiting.keys()
        asked = range(1, self.config.runs + 1) if self.numbers is None else self.numbers
        to_play = [number for number in asked if number not in known]
        self._begun = {pool.submit(self._episode, number, episodes): number for number in to_play}
        # Not by `concurrent.futures.wait`: it takes locks of the futures, and a Ctrl-C in that moment would leave one taken
        # for ever, so that an episode's thread could not end.
        ended: SimpleQueue[Future[EndedEpisode | None]] = SimpleQueue()
        for future in self._begun:
            future.add_done_callback(ended.put)
        going = set(self._begun)
        while going or self.waiting:
            for future in _those_that_ended(ended):
                going.discard(future)
                self._take(future, self._begun[future])
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
        # Noted first: where a Ctrl-C comes meanwhile, it is taken once more, and the last line for a run holds.
        self._note(EntryKind.SUBMITTED, submitted_entry(episode, self.stored.get(number, "")))
        self.waiting[number] = (episode, self.context.clock.monotonic())

    def _take_unseen(self, is_over: Callable[[EndedEpisode], bool]) -> None:
        """We come to no end: what was over, while this thread graded or took another, is the run's work all the same."""
        known = {run.number for run in self.runs} | self.waiting.keys()
        for future, number in self._begun.items():
            if number in known or not future.done() or future.cancelled() or future.exception() is not None:
                continue
            episode = future.result()
            if episode is not None and is_over(episode):
                self._take(future, number)

    def _keep_waiting(self) -> None:
        """We are stopped: what was not graded yet stays in the record, to be graded later."""
        fault = infrastructure("stopped before it was graded", f"python -m runner --resume {self.folder.path}")
        final = {run.number for run in self.runs}
        episodes = [episode for number, (episode, _) in self.waiting.items() if number not in final]
        for run in Batch(episodes, self.stored, self.config.grade_snapshots).give_up(fault):
            self._finish(run)

    # Episodes

    def _episode_config(self) -> EpisodeConfig:
        context = self.context
        files = tuple(agent_files(context.problem, context.task, self.config.scale))
        instruction, cpuset = context.task.instruction(self.config.scale), all_cpus(context.fleet.engine)
        return EpisodeConfig(context.fleet, context.spec, self.config.limits, instruction, files, cpuset, context.clock)

    def _episode(self, number: int, episodes: EpisodeConfig) -> EndedEpisode | None:
        """Play one; None where the job's dollars ended before it began."""
        if self.ledger.exhausted:
            return None
        self.folder.set_transcript_aside(number)

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
        with grading_session(self.context) as context:
            yield from grade_candidates(context, candidates)

    # The record

    def _keep(self, number: int, content: bytes) -> str:
        return str(self.folder.keep_submission(number, self.context.task.file.submission.file, content))

    def _finish(self, run: Run) -> None:
        self.runs.append(run)  # first: a Ctrl-C may come between
        self.waiting.pop(run.number, None)
        try:
            if run.outcome.kind is not OutcomeKind.INFRASTRUCTURE:  # what the host spoiled is not final
                self._note(EntryKind.FINISHED, run_json(run))
            self._record()  # before it is printed: who reads the line may look there
        finally:
            self.report(run)  # in any case: a disk that is full must not swallow a verdict

    def _note(self, kind: EntryKind, content: dict[str, Any]) -> None:
        self.folder.journal.append(kind, content, self.context.clock.now().isoformat())
        self.on_note(kind, content)

    def _record(self) -> None:
        self.folder.write_json("results.json", results_json(self.config, self.runs, self.totals(), self.lock))


def _those_that_ended(ended: SimpleQueue[Future[EndedEpisode | None]]) -> Iterator[Future[EndedEpisode | None]]:
    """What is there, after a wait for the first."""
    with contextlib.suppress(Empty):
        yield ended.get(timeout=POLL_S)
        while True:
            yield ended.get_nowait()
