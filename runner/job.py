"""A job on one page: play the episodes, take the measuring slot, grade, record, report.

Episodes run side by side in threads; this thread waits for them, and grades the submissions that wait: when no episode
needs the CPUs any more, or when one has waited long enough. Episodes that still run then stand frozen meanwhile.
"""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any

from runner.agents.protocol import MakeAgent
from runner.episode.loop import Arrays
from runner.faults import InfrastructureFault, Interrupted
from runner.grading.case import mint
from runner.grading.rates import pass_rate_interval
from runner.grading.rounds import Bench, Candidate, Graded, grade
from runner.plan import grade_now
from runner.records.job import Request, Totals, total
from runner.records.outcome import Infrastructure
from runner.records.run import Run
from runner.run import AGENT_ROLE, Episode, graded, run_episode, ungraded
from runner.sandbox.slot import all_cpus, kept_off, measuring_cpu, measuring_slot
from runner.store.folder import JobFolder
from runner.store.results import results_json

POLL_S = 0.2


@dataclass
class Job:
    """Everything a job needs, assembled by `runner.commands`.

    Attributes:
        bench: where and by what rules submissions are graded; its sandboxes are those of the episodes, too.
        report: called with each run as soon as its outcome is final.
    """

    request: Request
    bench: Bench
    make_agent: MakeAgent
    stop_agents: Callable[[], None]
    folder: JobFolder
    lock: dict[str, Any]
    report: Callable[[Run], None]
    runs: list[Run] = field(default_factory=list)
    stored: dict[int, str] = field(default_factory=dict)
    started_s: float = 0.0

    def totals(self) -> Totals:
        counted = total(self.runs, self.bench.clock.monotonic() - self.started_s)
        low, high = pass_rate_interval(self.runs) or (None, None)
        return replace(counted, pass_rate_low=low, pass_rate_high=high)

    def play(self) -> bool:
        """The whole job; whether it was interrupted. What is finished is kept and reported in any case."""
        self.started_s = self.bench.clock.monotonic()
        self._record()
        pool = ThreadPoolExecutor(self.request.jobs, "episode")
        try:
            self._play(pool)
            return False
        except (KeyboardInterrupt, Interrupted):
            self.bench.say("stopping: what is finished is kept")
            return True
        finally:
            self.stop_agents()
            self.bench.fleet.stop()
            pool.shutdown(cancel_futures=True)
            self._record()

    def _play(self, pool: ThreadPoolExecutor) -> None:
        sample = self._sample()
        going = {pool.submit(self._episode, number, sample) for number in range(1, self.request.runs + 1)}
        waiting: dict[int, tuple[Episode, float]] = {}
        while going or waiting:
            done, going = wait(going, timeout=POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                self._take(future, waiting)
            since = [at for _, at in waiting.values()]
            if grade_now(since, len(going), self.bench.clock.monotonic(), self.request.grade_after_s):
                self._grade([episode for episode, _ in waiting.values()])
                waiting.clear()

    def _take(self, future: Future[Episode], waiting: dict[int, tuple[Episode, float]]) -> None:
        episode = future.result()
        if episode.submission is None:
            self._finish(ungraded(episode))
            return
        self.stored[episode.number] = self._keep(episode)  # before it is graded: nothing is lost when we are stopped
        waiting[episode.number] = (episode, self.bench.clock.monotonic())

    # Episodes

    def _sample(self) -> Arrays | None:
        """The data that agents find in their workspace: of a public seed, labels included."""
        section = self.bench.task.file.workspace.sample
        if section is None:
            return None
        case = mint(self.bench.problem, self.bench.task, section.scale, section.seed)
        return {**case.inputs, **{f"hidden_{name}": array for name, array in case.hidden.items()}}

    def _episode(self, number: int, sample: Arrays | None) -> Episode:
        self.bench.say(f"run {number}: episode starts")

        def note(kind: str, event: dict[str, Any]) -> None:
            self.folder.note(number, kind, {"at": self.bench.clock.now().isoformat(), **event})
            self.bench.say(f"run {number}: {_progress(kind, event)}")

        agent = self.make_agent(self.bench.task, number)
        instruction = self.bench.task.instruction(self.request.scale)
        cpuset = all_cpus(self.bench.fleet.engine)
        return run_episode(
            self.bench.fleet, self.bench.spec, self.bench.task, agent, number, instruction, sample, cpuset, note
        )

    # Grading

    def _grade(self, episodes: list[Episode]) -> None:
        left = {episode.number: episode for episode in episodes}
        try:
            for grading in self._gradings(episodes):
                self._finish(graded(left.pop(grading.run), grading, self.stored[grading.run]))
        except InfrastructureFault as fault:
            for number, episode in sorted(left.items()):
                grading = Graded(number, Infrastructure(fault.cause, fault.mend))
                self._finish(graded(episode, grading, self.stored[number]))

    def _gradings(self, episodes: list[Episode]) -> Iterator[Graded]:
        candidates = [Candidate(e.number, e.submission.content) for e in episodes if e.submission is not None]
        with measuring(self.bench) as bench:
            yield from grade(bench, sorted(candidates, key=lambda candidate: candidate.run))

    # The record

    def _keep(self, episode: Episode) -> str:
        assert episode.submission is not None
        name = self.bench.task.file.submission.file
        return str(self.folder.keep_submission(episode.number, name, episode.submission.content))

    def _finish(self, run: Run) -> None:
        self.runs.append(run)
        self.report(run)  # first: a disk that is full must not swallow a verdict
        self._record()

    def _record(self) -> None:
        self.folder.write_json("results.json", results_json(self.request, self.runs, self.totals(), self.lock))


@contextlib.contextmanager
def measuring(bench: Bench) -> Iterator[Bench]:
    """The measuring slot, with episodes frozen and this process off its CPU; the bench on that CPU."""
    engine, spec = bench.fleet.engine, bench.spec
    cpuset = measuring_cpu(engine)
    with measuring_slot(engine, spec.image_id, spec.python, cpuset, say=bench.say):
        with bench.fleet.frozen(AGENT_ROLE), kept_off(engine, cpuset):
            yield bench.on(cpuset)


def _progress(kind: str, event: dict[str, Any]) -> str:
    match kind:
        case "turn":
            tools = ", ".join(call["tool"] for call in event["calls"]) or "no tool"
            return f"turn {event['turn']}: {tools}"
        case "answer":
            return f"answered in {event['seconds']:.2f} s"
        case _:
            return f"episode over ({event.get('ending', kind)})"
