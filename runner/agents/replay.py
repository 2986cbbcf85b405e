"""`replay:PATH` repeats recorded turns in a real sandbox, and reports where the results differ from the recorded ones.

PATH is a transcript, a run's folder, or a job's: then run i repeats run_<i>, and with fewer transcripts they start again
from the first. No model is asked. What legitimately varies (a time that a program prints) is reported as well; a pattern
that the user gives can exclude it. Compared are each result's text and whether it is an error, the file after each turn
that was recorded to its end, and how the episode ended.
"""

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.agents.protocol import AgentContext, MakeAgent, Observation
from runner.budget.limits import EpisodeEnded
from runner.faults import UsageFault
from runner.records.episode import EndReason, Turn
from runner.records.events import (
    BudgetEvent,
    EndEvent,
    Event,
    NoteEvent,
    SnapshotEvent,
    StartEvent,
    ToolResultEvent,
)
from runner.store.transcript import Step, Transcript, read_transcript, transcripts_by_run, transcripts_of

PREFIX = "replay:"
SHOWN_MAX = 200  # chosen: what of a differing output stands in a note


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """One turn, and what came of it.

    Attributes:
        sha256: of the submission's file where this turn changed it; None: it did not.
        is_whole: whether the record goes on after it, so that what is missing in it did not happen.
    """

    turn: Turn
    results: tuple[ToolResultEvent, ...] = ()
    sha256: str | None = None
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Recording:
    """An episode to be repeated.

    Attributes:
        ending: how it ended; None: the record does not say, or the agent did not end it.
        unread: lines of the transcript that could not be read.
    """

    path: Path
    turns: Sequence[RecordedTurn]
    ending: str | None = None
    unread: int = 0


@dataclass
class Replay:
    """Repeats a recording.

    Attributes:
        ignore: what is removed from both texts before they are compared; None: nothing.
        compared, differences: counts so far.
    """

    recording: Recording
    context: AgentContext
    ignore: re.Pattern[str] | None = None
    compared: int = 0
    differences: int = 0
    _turns: int = 0
    _results: int = 0
    _sha256: str | None = None
    _open: bool = False
    _listens: bool = field(default=False, init=False)

    def act(self, observation: Observation) -> Turn:
        """The next recorded turn.

        Raises:
            EpisodeEnded: there is none.
        """
        for result in observation.answers[self._results :]:
            self._compare(result.text, result.is_error)
        self._close_turn()
        if self._turns == len(self.recording.turns):
            raise EpisodeEnded(self.recording.ending or EndReason.RECORDED_TURNS)
        self._turns, self._results, self._sha256, self._open = self._turns + 1, 0, None, True
        return self._now.turn

    def on_event(self, event: Event) -> None:
        """Compare what is written; so also the results of the last turn, which never appear in an observation."""
        self._listens = True
        match event:
            case ToolResultEvent():
                self._compare(event.text, event.is_error)
            case SnapshotEvent():
                self._sha256 = event.sha256
            case BudgetEvent():
                self._close_turn()
            case EndEvent():
                self._close_turn()
                self._end(event.ending)

    @property
    def facts(self) -> dict[str, Any]:
        """The comparison, for results.json."""
        return {
            "differences": self.differences,
            "answers_compared": self.compared,
            "turns_replayed": self._turns,
            "turns_recorded": len(self.recording.turns),
            **({"ignored": self.ignore.pattern} if self.ignore is not None else {}),
            "replayed": str(self.recording.path),
        }

    @property
    def _now(self) -> RecordedTurn:
        return self.recording.turns[self._turns - 1]

    def _compare(self, text: str, is_error: bool) -> None:
        """The next result of this turn; one that was not recorded cannot differ."""
        if not self._open:
            return
        place, self._results = self._results, self._results + 1
        if place >= len(self._now.results):
            return
        recorded = self._now.results[place]
        self.compared += 1
        if is_error != recorded.is_error or self._plain(text) != self._plain(recorded.text):
            self._report_result(recorded, text, is_error)

    def _report_result(self, recorded: ToolResultEvent, text: str, is_error: bool) -> None:
        line, before, now = first_difference(self._plain(recorded.text), self._plain(text))
        about: dict[str, Any] = {
            "call": recorded.call, "line": line, "recorded": before, "now": now,
            "recorded_sha256": _sha256(recorded.text), "now_sha256": _sha256(text),
        }  # fmt: skip
        if is_error != recorded.is_error:
            about |= {"recorded_is_error": recorded.is_error, "now_is_error": is_error}
        tool = next((call.tool for call in self._now.turn.calls if call.id == recorded.call), "?")
        where = f"the answer to {tool} ({recorded.call})" + (f", line {line}" if line else ", is it an error")
        self._report(where, before if line else recorded.is_error, now if line else is_error, about)

    def _close_turn(self) -> None:
        """Compare what only the end of a turn shows: results that are missing, and the file."""
        if not self._open:
            return
        self._open = False
        for missing in self._now.results[self._results :]:
            about: dict[str, Any] = {"call": missing.call, "recorded_sha256": _sha256(missing.text), "now_sha256": None}
            self._report(f"the answer to call {missing.call}", missing.text, None, about)
        if self._listens and self._now.is_whole and self._sha256 != self._now.sha256:
            about = {"file": True, "recorded_sha256": self._now.sha256, "now_sha256": self._sha256}
            self._report("the file that this turn wrote, by hash", self._now.sha256, self._sha256, about)

    def _end(self, ending: str) -> None:
        recording = self.recording
        if recording.ending is not None and ending != recording.ending:
            self._report("the end", recording.ending, ending, {"recorded": recording.ending, "now": ending})
        unread = f"; {recording.unread} lines of it could not be read" if recording.unread else ""
        counted = f"{self._turns} of {len(recording.turns)} turns, {self.compared} answers compared"
        self._note(f"replay of {recording.path}: {counted}, {self.differences} differences{unread}", {})

    def _report(self, where: str, before: object, now: object, about: Mapping[str, Any]) -> None:
        self.differences += 1
        text = f"replay differs in turn {self._turns}: {where}: recorded {_short(before)}, now {_short(now)}"
        self._note(text, {"difference": {"turn": self._turns, **about}})

    def _note(self, text: str, more: Mapping[str, Any]) -> None:
        self.context.emit(NoteEvent(text=text, more=dict(more)))

    def _plain(self, text: str) -> str:
        return self.ignore.sub("", text) if self.ignore is not None else text


def first_difference(before: str, now: str) -> tuple[int, str | None, str | None]:
    """(number of the first line that differs, from 1; both lines, None for one that is missing); 0: no line differs."""
    for number, (old, new) in enumerate(itertools.zip_longest(before.split("\n"), now.split("\n")), 1):
        if old != new:
            return number, _cut(old), _cut(new)
    return 0, None, None


def _cut(line: str | None) -> str | None:
    return line[:SHOWN_MAX] if line is not None else None


def _short(value: object) -> str:
    return "nothing" if value is None else repr(value[:SHOWN_MAX] if isinstance(value, str) else value)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


# Recordings


def make_replay(path: Path, ignore: str = "") -> MakeAgent:
    """What makes the replays of a path; a link such as `latest` is resolved at once.

    Raises:
        UsageFault: there is no transcript, or `ignore` is not a pattern.
    """
    path = path.resolve()
    paths, by_number = transcripts_of(path), transcripts_by_run(path)
    try:
        pattern = re.compile(ignore) if ignore else None
    except re.error as error:
        raise UsageFault(
            cause=f"--replay-ignore {ignore!r} is not a regular expression: {error}", hint="correct it"
        ) from None

    def make(context: AgentContext) -> Replay:
        own = by_number.get(context.run, paths[(context.run - 1) % len(paths)])
        return Replay(_recording(read_transcript(own), context.task.name), context, pattern)

    return make


def _recording(transcript: Transcript, task: str) -> Recording:
    started = transcript.first(StartEvent)
    if started is not None and started.task and started.task != task:
        raise UsageFault(
            cause=f"{transcript.path} is of task {started.task}, not {task}", hint=f"add --task {started.task}"
        )
    steps = [step for step in transcript.steps if step.turn is not None]
    if not steps:
        raise UsageFault(cause=f"{transcript.path} holds no turn", hint="replay an episode that had one")
    turns = [_recorded(step, is_last=step is steps[-1]) for step in steps]
    end = transcript.first(EndEvent)
    ending = end.ending if end is not None and end.ending != EndReason.INFRASTRUCTURE else None
    return Recording(transcript.path, turns, ending, len(transcript.unreadable))


def _recorded(step: Step, *, is_last: bool) -> RecordedTurn:
    event, snapshots = step.turn, step.all(SnapshotEvent)
    assert event is not None
    goes_on = not event.calls and (step.is_whole or not is_last)
    turn = Turn(event.say, event.calls, event.ending, goes_on)
    sha256 = snapshots[-1].sha256 if snapshots else None
    return RecordedTurn(turn, tuple(step.all(ToolResultEvent)), sha256, step.is_whole)
