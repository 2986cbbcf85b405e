"""A share of a job's runs, on the host that has it: the ordinary job with this host's engine, slot and certificate.

`python -m runner.hosts.share` reads a request and a task's archive from standard input, and writes lines (`messages.py`) to
standard output. It is a program of its own, so that whatever started it (a worker of Ray's) shares nothing with it; when its
input ends, because that worker is gone, it stops. Keys and endpoints are this host's own environment's.
"""

import contextlib
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import runner
from runner.budget.clock import SystemClock
from runner.budget.stopped import note_stop, stopped_since_s
from runner.faults import Fault, Interrupted, UsageFault
from runner.hosts.messages import LineKind, Waiting, file_lines, line_of, read_bytes, read_line, read_request
from runner.hosts.share_ledger import PING_S, ShareLedger
from runner.hosts.task_archive import unpack_task
from runner.job.agents import set_up_agent
from runner.job.assembly import assemble, concurrency_of
from runner.job.calibration import measure_certificate
from runner.job.job import Job
from runner.job.main_thread import waking_main_thread
from runner.job.resume import Remains
from runner.job.run_episode import EndedEpisode
from runner.records.episode import Submission
from runner.records.grading import GradingStep
from runner.records.outcome import OutcomeKind
from runner.records.run import JobConfig, Run
from runner.sandbox.engine import find_engine
from runner.sandbox.scratch import scratch_folder
from runner.settings import Settings, read_settings
from runner.store.job_folder import JobFolder, open_job_folder
from runner.store.journal import EntryKind
from runner.store.results import read_config, read_run, run_json
from runner.tasks.task import Task, read_task

ANSWER_S = 12.0  # chosen: a little more than the relay waits for the book
END_S = 45.0  # chosen: after this, a share that was told to end is ended


@dataclass
class Pipe:
    """Lines out, answers in; any thread may call it."""

    source: BinaryIO
    sink: BinaryIO
    answers: dict[int, "queue.SimpleQueue[Mapping[str, Any]]"] = field(default_factory=dict)
    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, kind: LineKind, **content: Any) -> None:
        """Write a line."""
        self.write(line_of({"kind": kind, **content}))

    def write(self, line: bytes) -> None:
        """Write a line that is made; one that nobody reads any more is lost with its share."""
        with self.lock, contextlib.suppress(BrokenPipeError, ValueError):
            self.sink.write(line)
            self.sink.flush()

    def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The answer to a question; None where none came in time."""
        with self.lock:
            self.asked += 1
            number, mine = self.asked, queue.SimpleQueue[Mapping[str, Any]]()
            self.answers[number] = mine
        self.send(LineKind.ASK, id=number, question=dict(question))
        try:
            answer = mine.get(timeout=ANSWER_S)
        except queue.Empty:
            return None
        finally:
            self.answers.pop(number, None)
        return answer.get("answer")

    def listen(self) -> None:
        """Hand each answer to who asked, until the input ends; then the share ends."""
        for line in self.source:
            with contextlib.suppress(ValueError):
                answer = read_line(line)
                if (mine := self.answers.get(int(answer.get("id", 0)))) is not None:
                    mine.put(answer)
        end_soon()


def end_soon() -> None:
    """Interrupt the main thread, and end the process where that does not come to an end."""
    os.kill(os.getpid(), signal.SIGINT)
    timer = threading.Timer(END_S, os._exit, (3,))
    timer.daemon = True
    timer.start()


def main() -> int:
    """Do what one request asks for; returns the exit status."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints does not reach the lines
    with waking_main_thread({signal.SIGINT}) as may_go_on:

        def interrupt(number: int, frame: FrameType | None) -> None:
            note_stop()
            if may_go_on(number, frame):
                raise KeyboardInterrupt

        signal.signal(signal.SIGINT, interrupt)
        return _answer(Pipe(sys.stdin.buffer, sink))


def _answer(pipe: Pipe) -> int:
    try:
        raw, config, archive = _request(pipe)
        threading.Thread(target=pipe.listen, daemon=True).start()
        interrupted = _work(pipe, raw, config, archive)
    except Fault as fault:
        pipe.send(LineKind.REFUSED, cause=fault.cause, hint=fault.hint)
        return 3
    except KeyboardInterrupt:
        interrupted = True
    with contextlib.suppress(KeyboardInterrupt):
        pipe.send(LineKind.ENDED, interrupted=interrupted)
    return 0


def _request(pipe: Pipe) -> tuple[Mapping[str, Any], JobConfig, bytes]:
    """What is asked for, its configuration and the task's archive.

    Raises:
        UsageFault: another version asks, or it has not the form of a request.
    """
    try:
        raw = read_request(pipe.source.readline())
        archive = pipe.source.read(int(raw["archive_bytes"]))
        if raw["runner"] != runner.__version__:
            raise UsageFault(
                cause=f"this host has runner {runner.__version__}, the driver {raw['runner']}",
                hint="install the same version on both",
            )
        return raw, read_config(raw["config"]), archive
    except (KeyError, TypeError, ValueError) as error:
        raise UsageFault(
            cause=f"what came is not a request: {error!r}", hint="install the same version on all machines"
        ) from error


def _work(pipe: Pipe, raw: Mapping[str, Any], config: JobConfig, archive: bytes) -> bool:
    with scratch_folder("shares") as folder:
        unpack_task(archive, folder / "task")
        task = read_task(folder / "task")
        if task.digest != config.task_digest:
            raise UsageFault(
                cause=f"task {task.name} arrived with a digest other than the one it was sent with",
                hint="start the job again",
            )
        settings = _settings(config, folder)
        if raw["work"] == "calibrate":
            return _calibrate(pipe, settings, task, config, int(raw["rounds"]))
        return _play(pipe, settings, task, config, raw, folder)


def _settings(config: JobConfig, folder: Path) -> Settings:
    """This host's settings with what the job's configuration says of them."""
    settings = read_settings()
    of_job = {
        "model": config.model or settings.model,
        "max_tokens": config.max_tokens or settings.max_tokens,
        "context_tokens": config.context_tokens or settings.context_tokens,
        "runtime": config.runtime or settings.runtime,
        "output": folder / "output",
    }
    return settings.model_copy(update=of_job)


def _calibrate(pipe: Pipe, settings: Settings, task: Task, config: JobConfig, rounds: int) -> bool:
    def say(text: str) -> None:
        pipe.send(LineKind.NOTE, text=text)

    engine = find_engine(settings)
    slots = config.grading.slots
    made = measure_certificate(engine, settings, task, config.scale, rounds, say, lambda step: say(step.text), slots)
    pipe.send(LineKind.CALIBRATED, result=made.as_json())
    return False


def _play(
    pipe: Pipe, settings: Settings, task: Task, config: JobConfig, raw: Mapping[str, Any], folder: Path
) -> bool:  # fmt: skip
    """Play and grade the runs of a share; whether it was interrupted."""
    numbers, waiting = tuple(map(int, raw["numbers"])), tuple(map(_waiting, raw["waiting"]))

    def say(text: str) -> None:
        pipe.send(LineKind.NOTE, text=text)

    def report_step(step: GradingStep) -> None:
        say(step.text)

    ledger = ShareLedger(pipe.ask, end_soon)
    agent = set_up_agent(config, settings, task, ledger, SystemClock(), say)
    try:
        engine = find_engine(settings)
        count = max(1, len(numbers))
        at_a_time = concurrency_of(replace(config, runs=count), engine.facts, task.file.limits.memory)
        config = replace(config, concurrency=at_a_time)
        if config.preflight and numbers:
            agent.preflight()
        with contextlib.closing(open_job_folder(settings.output, config.name, newest=False)) as job_folder:
            remains = Remains(config=config, waiting=waiting)
            parts = assemble(settings, engine, task, config, agent, say, report_step, remains)
            seeds = tuple(int(seed, 16) for seed in raw["seeds"])
            rules = parts.context.rules
            pipe.send(
                LineKind.STARTED,
                lock=parts.lock,
                certificate=asdict(rules.certificate) if rules.certificate is not None else None,
                no_certificate=rules.no_certificate,
            )
            outgoing = _Outgoing(pipe, job_folder, ledger)
            job = Job(
                config, replace(parts.context, seeds=seeds), agent.make, agent.stop, job_folder, parts.lock,
                outgoing.report, ledger=ledger, start_event=parts.started, remains=remains, numbers=numbers,
                on_note=outgoing.note,
            )  # fmt: skip
            with _heartbeat(ledger):
                return job.play()
    finally:
        agent.stop()


@contextlib.contextmanager
def _heartbeat(ledger: ShareLedger) -> Iterator[None]:
    """Tell the book every few seconds that the share lives, which also says when to stop."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(PING_S):
            ledger.ping()

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _waiting(raw: Mapping[str, Any]) -> EndedEpisode:
    entry = Waiting(
        run=raw["run"],
        submission=None if raw["submission"] is None else read_bytes(raw["submission"]),
        snapshots=tuple(map(read_bytes, raw["snapshots"])),
    )
    run = read_run(entry.run)
    submission = None
    if entry.submission is not None and run.submission is not None:
        record = run.submission
        submission = Submission(path=record.path, content=entry.submission, snapshot_turn=record.snapshot_turn)
    return EndedEpisode(
        run=replace(run, submission=None, grading=None), submission=submission, snapshots=entry.snapshots
    )


@dataclass
class _Outgoing:
    """Sends what becomes final, with the files that the run's folder holds by then."""

    pipe: Pipe
    folder: JobFolder
    ledger: ShareLedger
    sent: dict[Path, float] = field(default_factory=dict)

    def note(self, kind: EntryKind, content: Mapping[str, Any]) -> None:
        """An episode is over: its record and its files are on their way before it is graded."""
        if kind is EntryKind.SUBMITTED:
            self._files(int(content["number"]))
            self.pipe.send(LineKind.SUBMITTED, run=content)

    def report(self, run: Run) -> None:
        """A run's outcome is final, but for one that this share spoiled, since it ends without the driver's word."""
        if run.outcome.kind is OutcomeKind.INFRASTRUCTURE and self._ends_alone:
            return
        self._files(run.number)
        self.pipe.send(LineKind.FINISHED, run=run_json(run))

    @property
    def _ends_alone(self) -> bool:
        return self.ledger.fenced or (stopped_since_s() is not None and not self.ledger.told_to_stop)

    def _files(self, number: int) -> None:
        root = self.folder.run_folder(number)
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            at = path.stat().st_mtime
            if self.sent.get(path) == at:
                continue
            self.sent[path] = at
            for line in file_lines(number, path.relative_to(root).as_posix(), path.read_bytes()):
                self.pipe.write(line)


if __name__ == "__main__":
    try:
        status = main()
    except Interrupted:
        status = 130
    except BaseException:  # boundary: a mistake of ours ends the process as anything else does, and its host says it
        traceback.print_exc()
        status = 1
    sys.stderr.flush()
    os._exit(status)  # threads that still wait for an answer do not hold it up
