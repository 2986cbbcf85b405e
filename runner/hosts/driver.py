"""A job on several hosts, on one page: shares go out, finished runs come back and are in the job's folder at once.

Nothing is measured here, and no engine is needed. A share's host plays and grades its runs (`share.py`); what it says is
checked, written and reported as an ordinary job writes and reports it, so that `--resume` goes on with what is there.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runner.budget.clock import SystemClock
from runner.faults import InfrastructureFault, Interrupted
from runner.grading.pass_rate import job_totals
from runner.hosts.cluster import Cluster, Host, Lost, Over, Said
from runner.hosts.messages import Files, LineKind, Request, Waiting, read_line, request_line
from runner.hosts.plan import Plan, share_size
from runner.job.resume import Remains
from runner.records.episode import Submission
from runner.records.outcome import OutcomeKind, infrastructure
from runner.records.run import JobConfig, Run, SubmissionRecord, Totals
from runner.store.job_folder import JobFolder
from runner.store.journal import EntryKind
from runner.store.results import read_run, results_json, run_json

POLL_S = 1.0  # chosen: how late a new host, or a Ctrl-C, may be noticed
PLACED_S = 15.0  # asked for: a share that no host takes up is told of after so long
WRITING_SHARE = 10.0  # chosen: a tenth of the driver's time at the most; with ten runs, every run is written at once
STOP_S = 90.0  # chosen: longer than a share takes to stop its containers and say what it has
HINT = "start `python -m runner host --address ADDRESS` on it again; what is finished is kept"


@dataclass
class _Share:
    """A share that is out.

    Attributes:
        numbers: all its runs.
        host: as it is reported; empty until one has it.
        name: that the host gave itself, by which the cluster knows it.
        is_interrupted: it said that it ended before its end.
    """

    numbers: tuple[int, ...]
    host: str = ""
    name: str = ""
    is_started: bool = False
    is_interrupted: bool = False
    files: Files = field(default_factory=Files)


@dataclass
class HostsJob:
    """A job whose runs are played on several hosts.

    Attributes:
        version: of this program, which must be the hosts'.
        archive: the task's folder, as `pack_task` makes it.
        lock: of the job; what each host ran with is put under `hosts`.
        key: vendor of whom a host must have a key; empty: none.
        hosts_min: fewer hosts than these, and nothing begins.
        share: runs of a share; 0: as many as give every host one.
        seeds: data seeds of the first rounds.
        folder: None: nothing is kept (`grade` without --keep).
        say: called with a sentence about each step.
        report: called with each run as soon as its outcome is final.
    """

    version: str
    config: JobConfig
    cluster: Cluster
    archive: bytes
    folder: JobFolder | None
    lock: dict[str, Any]
    report: Callable[[Run], None]
    say: Callable[[str], None]
    key: str = ""
    hosts_min: int = 1
    share: int = 0
    seeds: tuple[int, ...] = ()
    remains: Remains | None = None
    runs: list[Run] = field(default_factory=list)
    waiting: dict[int, Waiting] = field(default_factory=dict)
    now: Callable[[], float] = time.monotonic
    _plan: Plan = field(init=False)
    _out: dict[str, _Share] = field(default_factory=dict)
    _refused: dict[str, str] = field(default_factory=dict)
    _hosts: dict[str, Host] = field(default_factory=dict)
    _shown: dict[str, str] = field(default_factory=dict)
    _unplaced: dict[str, float] = field(default_factory=dict)
    _started_s: float = 0.0
    _stopped: bool = False
    _image: tuple[str, str] | None = None
    _alive: list[Host] = field(default_factory=list)
    _looked_s: float = float("-inf")
    _final: set[int] = field(default_factory=set)
    _unwritten: bool = False
    _writable_s: float = float("-inf")

    def __post_init__(self) -> None:
        if self.remains is not None:
            self.runs = list(self.remains.finished)
            self._final = {run.number for run in self.runs}

    leaks: Sequence[str] = ()

    @property
    def budget_ended(self) -> bool:
        """Whether too few of the job's dollars were left for a turn."""
        return bool(self.cluster.book().state()["exhausted"])

    def totals(self) -> Totals:
        """Counts over the runs so far."""
        before_s = self.remains.seconds if self.remains is not None else 0.0
        spent = float(self.cluster.book().state()["spent"])
        return job_totals(self.runs, before_s + self.now() - self._started_s, spent)

    def play(self) -> bool:
        """The whole job; whether it was interrupted. What is finished is kept and reported in any case.

        Raises:
            InfrastructureFault: too few hosts are there; nothing was started.
        """
        self._started_s = self.now()
        self._await_hosts()
        self._begin()
        try:
            self._go()
            return False
        except (KeyboardInterrupt, Interrupted):
            self.say("stopping: what is finished is kept")
            self._stop()
            return True
        finally:
            for name in list(self._out):
                self.cluster.drop(name)
            self._record()

    # Hosts

    def _await_hosts(self) -> None:
        """Wait for as many hosts as were asked for, and no longer than a while.

        Raises:
            InfrastructureFault: they are not there.
        """
        until = self.now() + PLACED_S
        while len(fit := self._fit()) < self.hosts_min:
            if self.now() > until:
                names = ", ".join(sorted(host.name for host in fit)) or "none"
                keyless = sorted(host.name for host in self._hosts.values() if self.key and self.key not in host.keys)
                without = f"; without a key for {self.key}: {', '.join(keyless)}" if keyless else ""
                raise InfrastructureFault(
                    cause=f"{len(fit)} of {self.hosts_min} hosts are there: {names}{without}",
                    hint="start `python -m runner host --address ADDRESS` on more, or ask for fewer with --hosts",
                )
            time.sleep(min(POLL_S, PLACED_S))
        self.say(f"hosts: {', '.join(sorted(host.name for host in fit))}")

    def _fit(self) -> list[Host]:
        """The hosts that may get a share now."""
        if self.now() - self._looked_s >= POLL_S:
            alive, self._looked_s = list(self.cluster.hosts()), self.now()
            self._hosts |= {host.node: host for host in alive}
            self._tell_apart(alive)
            self._alive = [host for host in alive if not self.key or self.key in host.keys]
        if not self._refused:
            return self._alive
        return [host for host in self._alive if host.name not in self._refused]

    def _tell_apart(self, alive: Sequence[Host]) -> None:
        """Each host by a name of its own: seconds, certificate and losses of two are not to be taken for those of one."""
        for host in alive:
            taken = {self._shown[other.node] for other in alive if other.node in self._shown}
            if host.node not in self._shown and host.name in taken:
                self._shown[host.node] = f"{host.name}-{host.node[:8]}"
                self.say(
                    f"two hosts are called {host.name}: one is {self._shown[host.node]} here (`host --name` names it)"
                )
            self._shown.setdefault(host.node, host.name)

    # Shares

    def _begin(self) -> None:
        for episode in self.remains.waiting if self.remains is not None else ():
            content = episode.submission.content if episode.submission is not None else None
            self.waiting[episode.number] = Waiting(
                run=_waiting_record(episode.run, episode.submission), submission=content, snapshots=episode.snapshots
            )
        to_do = deque(number for number in range(1, self.config.runs + 1) if number not in self._final)
        self._plan = Plan(share_size(len(to_do), len(self._fit()), self.share), to_do)
        for run in self.runs:
            self.report(run)
        self._record()

    def _go(self) -> None:
        nobody_since: float | None = None
        while not self._plan.is_over:
            fit = self._fit()
            while len(self._out) < len(fit) and (share := self._plan.next_share()) is not None:
                self._send(*share)
            for event in self.cluster.wait(POLL_S):
                self._take(event)
            self._record_in_time()
            nobody_since = None if fit else nobody_since if nobody_since is not None else self.now()
            if nobody_since is not None and self.now() - nobody_since > PLACED_S:
                self._give_up()
            self._tell_unplaced(len(fit))

    def _send(self, name: str, numbers: tuple[int, ...]) -> None:
        waiting = tuple(self.waiting[number] for number in numbers if number in self.waiting)
        request = Request(
            runner=self.version,
            config=self.config,
            numbers=tuple(number for number in numbers if number not in self.waiting),
            waiting=waiting,
            seeds=self.seeds,
        )
        self._out[name], self._unplaced[name] = _Share(numbers), self.now()
        self.cluster.start(name, request_line(request), self.archive, self.key, tuple(self._refused), "")

    def _tell_unplaced(self, hosts: int) -> None:
        """Say once of a share that no host has taken up for a while."""
        for name, since_s in list(self._unplaced.items()):
            if self.now() - since_s > PLACED_S:
                del self._unplaced[name]
                self.say(
                    f"{name} waits for a host: {hosts} are there and busy, perhaps with another job "
                    "(start `python -m runner host --address ADDRESS` on one more, or wait)"
                )

    def _take(self, event: Said | Lost | Over) -> None:
        share = self._out.get(event.share)
        if share is None:
            return
        match event:
            case Said():
                try:
                    self._line(event.share, share, read_line(event.line))
                except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
                    self.cluster.drop(event.share)
                    self._lose(event.share, share, f"what it said is not understood: {error}")
            case Lost():
                self._lose(event.share, share, event.cause)
            case Over():
                self._end(event.share, share)

    def _line(self, name: str, share: _Share, line: Mapping[str, Any]) -> None:
        match line.get("kind"):
            case LineKind.PLACED:
                node = str(line["node"])
                self._unplaced.pop(name, None)
                share.host = self._shown.get(node, node[:8])
                share.name = self._hosts[node].name if node in self._hosts else share.host
            case LineKind.STARTED:
                share.is_started = True
                self._started(share.host, line)
            case LineKind.NOTE:
                self.say(f"{share.host}: {line['text']}")
            case LineKind.FILE:
                if (file := share.files.add(line, share.numbers)) is not None:
                    self._keep_file(*file)
            case LineKind.SUBMITTED:
                self._submitted(share, line["run"])
            case LineKind.FINISHED:
                self._finished(name, share, line["run"])
            case LineKind.ENDED:
                share.is_interrupted = bool(line["interrupted"])
            case LineKind.REFUSED if not share.is_started:
                self._refuse(name, share, str(line["cause"]), str(line["hint"]))
            case LineKind.REFUSED:
                self._lose(name, share, str(line["cause"]))

    def _started(self, host: str, line: Mapping[str, Any]) -> None:
        """What a host runs with is in the job's lock; a host whose image is another one is told of."""
        hosts = self.lock.setdefault("hosts", {})
        hosts[host] = {**line["lock"], "certificate": line.get("certificate"), "no_certificate": line["no_certificate"]}
        image = str(line["lock"].get("image", {}).get("id", ""))
        first, usual = self._image or (host, image)
        self._image = first, usual
        if image != usual:
            self.say(
                f"{host} runs image {image[:19]}, {first} {usual[:19]}: their ratios can be compared, their certificates "
                "cannot (give both one file of `image save`: `runner host --image-archive`)"
            )
        self._unwritten = True

    def _submitted(self, share: _Share, raw: Mapping[str, Any]) -> None:
        """An episode is over: if its host is lost before it is graded, another grades it, and it is not paid for again."""
        run = self._own(share, read_run(raw))
        if self.folder is None:
            return
        root = self.folder.root / f"run_{run.number}"
        content = (root / Path(run.submission.stored_at).name).read_bytes() if run.submission is not None else None
        snapshots: tuple[bytes, ...] = ()
        if self.config.grade_snapshots:
            snapshots = tuple((root / "snapshots" / Path(one.stored_at).name).read_bytes() for one in run.snapshots)
        self.waiting[run.number] = Waiting(run=run_json(run), submission=content, snapshots=snapshots)
        self._note(EntryKind.SUBMITTED, run_json(run))

    def _finished(self, name: str, share: _Share, raw: Mapping[str, Any]) -> None:
        run = self._own(share, read_run(raw))
        if self._stopped and run.outcome.kind is OutcomeKind.INFRASTRUCTURE and run.number in self.waiting:
            hint = f"python -m runner --resume {self.folder.path}" if self.folder is not None else "the same command"
            run = replace(run, outcome=infrastructure("stopped before it was graded", hint))
        self._plan.finished(name, run.number)
        self._finish(run)

    def _own(self, share: _Share, run: Run) -> Run:
        """A run as this job records it: with its host, and with the paths of this job's folder.

        Raises:
            ValueError: it is not the share's.
        """
        if run.number not in share.numbers or run.number in self._final:
            raise ValueError(f"run {run.number} is not its own")
        if self.folder is not None:
            here = self.folder.path / f"run_{run.number}"
            if run.submission is not None and run.submission.stored_at:
                name = Path(run.submission.stored_at).name
                run = replace(run, submission=replace(run.submission, stored_at=str(here / name)))
            kept = tuple(
                replace(one, stored_at=str(here / "snapshots" / Path(one.stored_at).name)) if one.stored_at else one
                for one in run.snapshots
            )
            run = replace(run, snapshots=kept)
        return replace(run, host=share.host, lost_on=self._plan.lost_on.get(run.number, ()))

    def _refuse(self, name: str, share: _Share, cause: str, hint: str) -> None:
        """A host cannot begin: it gets nothing more of this job, and others take its runs."""
        self._refused[share.name] = f"{cause} ({hint})"
        self.say(f"{share.host} gets no more of this job: {cause} ({hint})")
        self._drop(name)
        self._plan.put_back(name)

    def _lose(self, name: str, share: _Share, cause: str) -> None:
        """A host is gone: what it finished is kept, the rest goes once into another share."""
        dollars = self._drop(name)
        again, given_up = self._plan.lost(name, share.host or "a host")
        paid = f"; ${dollars:.2f} that it had set aside are charged" if dollars else ""
        self.say(f"{share.host or name} is lost: {cause}; {len(again)} runs go into another share{paid}")
        for number in given_up:
            fault = infrastructure(f"two hosts were lost while they had it, the last by: {cause}", HINT)
            self._finish(Run(number=number, outcome=fault, lost_on=self._plan.lost_on[number]))

    def _end(self, name: str, share: _Share) -> None:
        """A share is over; a run that it never told of was not begun, since the job's dollars had ended, or we stop.

        Otherwise it is lost: the share has not heard from the book for long, or was ended on its host.
        """
        if self._plan.shares.get(name) and not self._stopped and (share.is_interrupted or not self.budget_ended):
            why = "it did not hear from here, or was stopped" if share.is_interrupted else "it left runs out"
            self._lose(name, share, f"its share ended before its end: {why}")
            return
        self._drop(name)
        if left := self._plan.over(name):
            self.say(f"{share.host}: runs {', '.join(map(str, left))} were not begun")

    def _drop(self, name: str) -> float:
        self._out.pop(name, None)
        self._unplaced.pop(name, None)
        return self.cluster.book().close_share(name)

    def _give_up(self) -> None:
        """No host is left: what is not final is the hosts' fault."""
        words = "; ".join(f"{host}: {why}" for host, why in sorted(self._refused.items()))
        cause = f"no host is left{': ' + words if words else ''}"
        for name in list(self._out):
            self.cluster.drop(name)
            self._drop(name)
        for number in self._plan.give_up():
            self._finish(
                Run(number=number, outcome=infrastructure(cause, HINT), lost_on=self._plan.lost_on.get(number, ()))
            )

    def _stop(self) -> None:
        """Ask every share to end, and take what it still says."""
        self._stopped = True
        self._plan.waiting.clear()
        self.cluster.book().stop()
        for name in [name for name, share in self._out.items() if not share.host]:
            self.cluster.drop(name)
            self._drop(name)
        until = self.now() + STOP_S
        while self._out and self.now() < until:
            for event in self.cluster.wait(POLL_S):
                self._take(event)
            self._plan.waiting.clear()

    # The record

    def _keep_file(self, number: int, name: str, content: bytes) -> None:
        if self.folder is not None:
            self.folder.keep_file(number, name, content)

    def _finish(self, run: Run) -> None:
        self.runs.append(run)
        self._final.add(run.number)
        try:
            if run.outcome.kind is not OutcomeKind.INFRASTRUCTURE:  # what the hosts spoiled is not final
                self.waiting.pop(run.number, None)
                self._note(EntryKind.FINISHED, run_json(run))
            self._unwritten = True
            self._record_in_time()
        finally:
            self.report(run)

    def _note(self, kind: EntryKind, content: dict[str, Any]) -> None:
        if self.folder is not None:
            self.folder.journal.append(kind, content, SystemClock().now().isoformat())

    def _record_in_time(self) -> None:
        """Write results.json, but spend no more than a small part of the time on it: what is final is in the journal."""
        if self._unwritten and time.monotonic() >= self._writable_s:
            self._record()

    def _record(self) -> None:
        began_s, self._unwritten = time.monotonic(), False
        if self.folder is not None:
            self.folder.write_json("lock.json", self.lock)
            self.folder.write_json("results.json", results_json(self.config, self.runs, self.totals(), self.lock))
        self._writable_s = time.monotonic() + WRITING_SHARE * (time.monotonic() - began_s)


def _waiting_record(run: Run, submission: Submission | None) -> dict[str, Any]:
    """The record of an episode that waits; the bytes of its submission go beside it."""
    record = SubmissionRecord.of(submission, "") if submission is not None else None
    return run_json(replace(run, submission=record))
