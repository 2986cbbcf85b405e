"""`human`: a person plays in a terminal, with the tools, the limits and the clock of any agent.

Line by line, on standard input and error, so that a pipe can play too. The clock runs while the person thinks: waiting for a
line ends at what the limits leave. The bytes are read from the descriptor itself, since a buffered reader cannot be waited
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
from runner.budget.limits import BudgetExceeded, in_words
from runner.clock import Clock, SystemClock
from runner.faults import Interrupted
from runner.records.episode import Limits, ToolCall, ToolResult, Turn

POLL_S = 0.2
READ_BYTES = 65_536
LINE_BYTES_MAX = 1024 * 1024
LINE_TEXT_MAX = 2_000
HELP = """\
A line is a command for the sandbox's shell. The other tools:
  :view PATH [A B]     a file, or its lines A to B; the names in a folder
  :create PATH         write a file: its lines, then a line with a single .
  :replace PATH        replace one place: the old text, a line with a single . , the new text, a line with a single .
  :insert PATH LINE    insert after a line (0: at the beginning): the text, then a line with a single .
  :restart             a new shell
  :submit PATH         hand the file in; the episode is over
  :help, :quit         this list; end without handing anything in"""


class EndOfInput(Exception):
    """Standard input has ended."""


class InvalidCommand(Exception):
    """A line that means nothing; its words say what is missing."""


@dataclass
class Terminal:
    """Where a person types and reads; one for all episodes of a job.

    Attributes:
        fit: makes a line of hostile text fit to be shown, at so many characters the most.
    """

    descriptor: int
    out: TextIO
    fit: Callable[[str, int], str]
    clock: Clock = field(default_factory=SystemClock)
    _typed: bytes = b""
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Whoever waits for a line gets `Interrupted`."""
        self._stopped.set()

    def tell(self, text: str, end: str = "\n") -> None:
        """Show a text, line by line."""
        shown = "\n".join(self.fit(line.expandtabs(), LINE_TEXT_MAX) for line in text.split("\n"))
        self.out.write(shown + end)
        self.out.flush()

    def line(self, until_s: float | None) -> str | None:
        """The next line without its end; None where the clock reaches `until_s` before.

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
            left_s = POLL_S if until_s is None else until_s - self.clock.monotonic()
            if left_s <= 0:
                return False
            if select.select([self.descriptor], [], [], min(POLL_S, left_s))[0]:
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
    _limit: str = ""
    _until_s: float | None = None

    def act(self, observation: Observation) -> Turn:
        """What the person wants; no call where there is no more input, or they quit.

        Raises:
            BudgetExceeded: a limit was reached while they thought.
            Interrupted: we are stopping.
        """
        clock, left = self.terminal.clock, observation.left
        since_s = clock.monotonic()
        self._limit, self._until_s = _first(left, since_s)
        self._show(observation)
        while True:
            try:
                prompt = f"[{in_words(_after(left, clock.monotonic() - since_s))}] $ "
                wanted = self._wanted(self._line(prompt))
            except InvalidCommand as wrong:
                self.terminal.tell(f"{wrong}; :help says what there is")
                continue
            except EndOfInput:
                self.terminal.tell("\nno more input: the episode is over")
                return Turn("")
            if wanted is not None:
                return wanted

    def _show(self, observation: Observation) -> None:
        if self._calls == 0:
            self.terminal.tell(f"Run {self.run}\n\n{observation.instruction}\n{HELP}\n")
        for answer in observation.answers:
            self.terminal.tell(_words(answer))

    def _line(self, prompt: str) -> str:
        self.terminal.tell(prompt, end="")
        line = self.terminal.line(self._until_s)
        if line is None:
            self.terminal.tell(f"\nthe limit on {self._limit} is reached: the episode is over")
            raise BudgetExceeded(self._limit)
        return line

    def _text(self, what: str) -> str:
        """Lines until a single dot."""
        self.terminal.tell(f"{what}, then a line with a single . :")
        lines: list[str] = []
        while (line := self._line("")) != ".":
            lines.append(line)
        return "\n".join(lines)

    def _wanted(self, line: str) -> Turn | None:
        """The turn that a line asks for; None where it asks for none."""
        if not line.strip():
            return None
        if not line.startswith(":") or line[1:2] in ("", " "):  # `:` alone is the shell's own
            return self._call("bash", command=line)
        name, *given = _split(line)
        match name, given:
            case ":help", []:
                self.terminal.tell(HELP)
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
                return self._call("create", path=path, file_text=_ended(self._text("the file's lines")))
            case ":replace", [path]:
                old = self._text("the old text")
                return self._call("str_replace", path=path, old_str=old, new_str=self._text("the new text"))
            case ":insert", [path, after]:
                number = _number(after)
                return self._call("insert", path=path, insert_line=number, insert_text=_ended(self._text("the text")))
            case ":submit", [path]:
                self.terminal.tell("handed in; if it can be read, the episode is over")
                return self._call("submit", path=path)
            case _:
                raise InvalidCommand(f"{name} is not used like this")

    def _call(self, tool: str, **given: Any) -> Turn:
        self._calls += 1
        return Turn("", (ToolCall(str(self._calls), tool, given),))


def _first(left: Limits, now_s: float) -> tuple[str, float | None]:
    """(the limit on time that ends first, when that is on the clock); None: there is no such limit."""
    times = (("wall clock", left.wall_s), ("working time", left.working_s))
    ends = [(now_s + seconds, name) for name, seconds in times if seconds is not None]
    if not ends:
        return "", None
    until_s, name = min(ends)
    return name, until_s


def _after(left: Limits, seconds: float) -> Limits:
    """What is left when somebody has thought for so long."""
    wall_s, working_s = (None if each is None else max(0.0, each - seconds) for each in (left.wall_s, left.working_s))
    return replace(left, wall_s=wall_s, working_s=working_s)


def _words(answer: ToolResult) -> str:
    text = answer.text.rstrip("\n")
    return f"error: {text}" if answer.is_error else text


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise InvalidCommand(f"this line cannot be read ({error})") from error


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidCommand(f"{text} is no number") from error


def _ended(text: str) -> str:
    return text + "\n" if text else text
