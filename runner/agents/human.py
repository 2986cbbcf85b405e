"""`human`: a person works in a terminal, with the tools, the limits and the clock of any agent.

Line by line, on standard input and error, so that a pipe can be the person. The clock runs while they think: waiting for a
line ends when a limit is reached. The bytes are read from the descriptor itself, since a buffered reader cannot be waited
for; what was typed ahead stays for the next question, and for the next episode of the job.
"""

import os
import select
import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TextIO

from runner.agents.protocol import Observation
from runner.budget.clock import Clock, SystemClock
from runner.budget.limits import BudgetExceeded, format_remaining
from runner.faults import Interrupted
from runner.records.episode import Limit, Limits, ToolCall, ToolResult, Turn

POLL_S = 0.2  # chosen: how late a limit on time may be noticed
READ_BYTES = 65_536  # a pipe's buffer on Linux
LINE_BYTES_MAX = 1024 * 1024  # chosen: far over what a person types or pastes
LINE_TEXT_MAX = 2_000  # chosen: what of a line is shown back
HELP = """\
A line is a command for the sandbox's shell. The other tools:
  :view PATH [A B]     a file, or its lines A to B; the names in a folder
  :create PATH         write a file: its lines, then a line with a single .
  :replace PATH        replace one place: the old text, a line with a single . , the new text, a line with a single .
  :insert PATH LINE    insert after a line (0: at the beginning): the text, then a line with a single .
  :restart             a new shell
  :submit PATH         submit the file; the episode is over
  :help, :quit         this list; end without submitting"""


class EndOfInput(Exception):
    """Standard input has ended."""


class InvalidCommand(Exception):
    """A line that cannot be understood; the message says why."""


@dataclass
class Terminal:
    """Where a person types and reads; one for all episodes of a job.

    Attributes:
        fit: makes a line of hostile text fit to be shown, at this many characters the most.
    """

    descriptor: int
    out: TextIO
    fit: Callable[[str, int], str]
    clock: Clock = field(default_factory=SystemClock)
    _typed: bytes = b""
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """A thread that waits for a line gets `Interrupted`."""
        self._stopped.set()

    def print(self, text: str, end: str = "\n") -> None:
        """Write a text, line by line."""
        shown = "\n".join(self.fit(line.expandtabs(), LINE_TEXT_MAX) for line in text.split("\n"))
        self.out.write(shown + end)
        self.out.flush()

    def line(self, until_s: float | None) -> str | None:
        """The next line without its end; None if the clock reaches `until_s` (None: never) before.

        Raises:
            EndOfInput: there is none.
            Interrupted: we are stopping.
        """
        while b"\n" not in self._typed and len(self._typed) < LINE_BYTES_MAX:
            if not self._readable(until_s):
                return None
            read = os.read(self.descriptor, READ_BYTES)
            if not read:
                return self._last()
            self._typed += read
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode("utf-8", "replace").rstrip("\r")

    def _last(self) -> str:
        line, self._typed = self._typed, b""
        if not line:
            raise EndOfInput
        return line.decode("utf-8", "replace")

    def _readable(self, until_s: float | None) -> bool:
        while not self._stopped.is_set():
            remaining_s = POLL_S if until_s is None else until_s - self.clock.monotonic()
            if remaining_s <= 0:
                return False
            if select.select([self.descriptor], [], [], min(POLL_S, remaining_s))[0]:
                return True
        raise Interrupted


@dataclass
class Human:
    """Asks a person for each turn.

    Attributes:
        run: number of the run, from 1.
    """

    terminal: Terminal
    run: int
    _calls: int = 0
    _first_limit: tuple[Limit, float] | None = None

    def act(self, observation: Observation) -> Turn:
        """The turn that the person asks for; without calls where there is no more input, or they quit.

        Raises:
            BudgetExceeded: a limit was reached while they thought.
            Interrupted: we are stopping.
        """
        clock, remaining = self.terminal.clock, observation.left
        since_s = clock.monotonic()
        self._first_limit = _first_limit(remaining, since_s)
        self._show(observation)
        while True:
            try:
                prompt = f"[{format_remaining(_after(remaining, clock.monotonic() - since_s))}] $ "
                turn = self._parse(self._line(prompt))
            except InvalidCommand as wrong:
                self.terminal.print(f"{wrong}; :help says what there is")
                continue
            except EndOfInput:
                self.terminal.print("\nno more input: the episode is over")
                return Turn("")
            if turn is not None:
                return turn

    def _show(self, observation: Observation) -> None:
        if self._calls == 0:
            self.terminal.print(f"Run {self.run}\n\n{observation.instruction}\n{HELP}\n")
        for result in observation.answers:
            self.terminal.print(_result_text(result))

    def _line(self, prompt: str) -> str:
        self.terminal.print(prompt, end="")
        limit, until_s = self._first_limit or (None, None)
        line = self.terminal.line(until_s)
        if line is not None:
            return line
        assert limit is not None  # without a limit on time, the terminal waits for ever
        self.terminal.print(f"\nthe limit on {limit} is reached: the episode is over")
        raise BudgetExceeded(limit)

    def _text(self, what: str) -> str:
        """Lines until a single dot."""
        self.terminal.print(f"{what}, then a line with a single . :")
        lines: list[str] = []
        while (line := self._line("")) != ".":
            lines.append(line)
        return "\n".join(lines)

    def _parse(self, line: str) -> Turn | None:
        """The turn that a line asks for; None where it asks for none."""
        if not line.strip():
            return None
        if not line.startswith(":") or line[1:2] in ("", " "):  # `:` alone is the shell's own
            return self._call("bash", command=line)
        name, *arguments = _split(line)
        match name, arguments:
            case ":help", []:
                self.terminal.print(HELP)
                return None
            case ":quit", []:
                return Turn("")
            case ":restart", []:
                return self._call("bash", restart=True)
            case ":view", [path]:
                return self._call("view", path=path)
            case ":view", [path, first, last]:
                return self._call("view", path=path, view_range=[_number(first), _number(last)])
            case ":create", [path]:
                return self._call("create", path=path, file_text=_with_newline(self._text("the file's lines")))
            case ":replace", [path]:
                old = self._text("the old text")
                return self._call("str_replace", path=path, old_str=old, new_str=self._text("the new text"))
            case ":insert", [path, after]:
                number = _number(after)
                return self._call(
                    "insert", path=path, insert_line=number, insert_text=_with_newline(self._text("the text"))
                )
            case ":submit", [path]:
                self.terminal.print("submitted; if it can be read, the episode is over")
                return self._call("submit", path=path)
            case _:
                raise InvalidCommand(f"{name} does not take these arguments")

    def _call(self, tool: str, **arguments: Any) -> Turn:
        self._calls += 1
        return Turn("", (ToolCall(str(self._calls), tool, arguments),))


def _first_limit(remaining: Limits, now_s: float) -> tuple[Limit, float] | None:
    """(the limit on time that is reached first, when that is on the clock); None: there is no such limit."""
    times = ((Limit.WALL_CLOCK, remaining.wall_s), (Limit.WORKING_TIME, remaining.working_s))
    ends = [(now_s + seconds, limit) for limit, seconds in times if seconds is not None]
    if not ends:
        return None
    until_s, limit = min(ends)
    return limit, until_s


def _after(remaining: Limits, seconds: float) -> Limits:
    """What remains after this many more seconds."""
    wall_s, working_s = (
        None if limit_s is None else max(0.0, limit_s - seconds) for limit_s in (remaining.wall_s, remaining.working_s)
    )
    return replace(remaining, wall_s=wall_s, working_s=working_s)


def _result_text(result: ToolResult) -> str:
    text = result.text.rstrip("\n")
    return f"error: {text}" if result.is_error else text


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise InvalidCommand(f"this line cannot be read ({error})") from error


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidCommand(f"{text} is not a number") from error


def _with_newline(text: str) -> str:
    return text + "\n" if text else text
