"""The live view: what stands in it, and what a terminal shows of it while a report comes out above."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from runner.records.episode import EpisodeSummary, Limits, Spent, ToolCall
from runner.records.events import (
    BudgetEvent,
    EndEvent,
    Event,
    RequestEvent,
    StartEvent,
    ToolResultEvent,
    TurnEvent,
)
from runner.records.grading import GradingPhase, GradingStep
from runner.records.outcome import Outcome, OutcomeKind
from runner.records.run import GradingConfig, JobConfig, Run
from runner.report.live import (
    DashboardState,
    GradingState,
    Phase,
    Row,
    apply_event,
    apply_outcome,
    remaining_s,
    render,
    state,
    summary,
)
from runner.report.progress import Progress
from tests.conftest import wait_until
from tests.environment import clean_environment

LIMITS = Limits(turns=30)
REQUEST = JobConfig(
    task="t",
    scale="full",
    agent="model",
    runs=3,
    concurrency=2,
    name="j",
    target=3.0,
    grading=GradingConfig(rounds_max=12),
    dollars_max=10.0,
    limits=LIMITS,
)


def call(tool: str, **arguments: Any) -> ToolCall:
    return ToolCall("1", tool, arguments)


def after(*events: Event, at_s: float = 5.0) -> Row:
    row = Row(1)
    for event in events:
        row = apply_event(row, event, at_s)
    return row


START = StartEvent(run=1)
REQUESTED = RequestEvent(turn=1, sha256="0")
ANSWERED = ToolResultEvent(call="1", text="", is_error=False, seconds=1.0)
OVER = EndEvent(ending="submitted", dollars=0.5)


def turn(number: int, *calls: ToolCall) -> TurnEvent:
    return TurnEvent(turn=number, say="", calls=calls)


def scene(
    rows: Sequence[Row], *, grading: GradingState | None = None, step: str = "", now_s: float = 100.0
) -> DashboardState:
    return DashboardState(REQUEST, rows, grading, step, 0.0, now_s)


def drawn(shown: DashboardState, lines_max: int = 24, width: int = 80) -> list[str]:
    console = Console(width=width, height=lines_max, force_terminal=False, record=True, file=io.StringIO())
    console.print(render(shown, lines_max))
    return console.export_text().splitlines()


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((), "waiting"),
        ((START,), "starting"),
        ((START, REQUESTED), "thinking"),
        ((START, turn(1, call("bash", command="ls"), call("view", path="x"))), "running bash"),
        ((START, turn(1, call("bash", command="ls"), call("view", path="x")), ANSWERED), "running view"),
        ((START, turn(1, call("bash", command="ls")), ANSWERED), "thinking"),
        ((START, turn(1)), "thinking"),
        ((START, OVER), "to be graded"),
    ],
)
def test_the_state_of_a_run_follows_its_events(events: Sequence[Any], words: str) -> None:
    assert state(after(*events), grading=False)[0] == words


def test_while_submissions_are_measured_a_tool_stands_frozen_and_a_model_may_think_on() -> None:
    assert state(after(START, turn(1, call("bash"))), grading=True)[0] == "frozen"
    assert state(after(START, REQUESTED), grading=True)[0] == "thinking"
    assert state(after(START, OVER), grading=True)[0] == "grading"


def test_a_final_outcome_takes_the_place_of_the_state() -> None:
    summed = EpisodeSummary(turns=3, calls=3, seconds=9.0, ending="submitted", dollars=1.25)
    row = apply_outcome(
        after(START, OVER), Run(number=1, outcome=Outcome(OutcomeKind.TOO_SLOW, "2x"), episode=summed), 9.0
    )
    assert state(row, grading=True) == ("too slow", "red") and row.dollars == 1.25 and row.ended_s == 5.0
    assert (
        apply_outcome(Row(1), Run(number=1, outcome=Outcome(OutcomeKind.INFRASTRUCTURE, "no engine")), 9.0).style
        == "yellow"
    )


def test_a_row_shows_turn_tool_dollars_and_time() -> None:
    budget = BudgetEvent(turn=2, spent=Spent(dollars=0.4))
    row = after(START, turn(1), budget, turn(2, call("bash", command="python3 check.py x.py")), at_s=37.0)
    line = next(line for line in drawn(scene([row])) if line.lstrip().startswith("1 "))
    assert line.split() == ["1", "running", "bash", "2/30", "bash", "python3", "check.py", "x.py", "$0.40", "01:03"]


def test_where_there_is_no_room_the_last_tool_gives_way() -> None:
    row = after(START, turn(12, call("str_replace", path="a_long_name_of_a_file/" * 5)), at_s=0.0)
    lines = drawn(scene([row]), width=60)
    assert (
        re.fullmatch(r"  1 +running str_replace +12/30 +str_replace.*… +\$0\.00 +01:40", lines[1]) and len(lines) == 4
    )


def test_a_grading_says_at_most_how_long_it_will_still_take_by_the_rounds_that_are_over() -> None:
    grading = GradingState(GradingPhase.CHECKING)
    for number, now_s in ((0, 0.0), (1, 10.0), (2, 20.0), (3, 40.0)):
        phase = GradingPhase.WARMING if number else GradingPhase.CHECKING
        grading = grading.next(GradingStep(phase, "", number), now_s)
    assert grading.remaining_s(rounds_max=12, now_s=40.0) == (40.0 - 10.0) / 2 * 10
    assert GradingState(GradingPhase.WARMING, 1, 10.0).remaining_s(rounds_max=12, now_s=20.0) is None
    rows = [replace(row, phase=Phase.OVER, started_s=0.0, ended_s=5.0) for row in (Row(1), Row(2), Row(3))]
    shown = scene(rows, grading=grading, step="round 3: warming", now_s=40.0)
    assert summary(shown).endswith("ETA at most 02:30")
    assert drawn(shown)[-1] == "[00:40] round 3: warming (at most 12 rounds)"


def test_the_footer_sums_the_job_up() -> None:
    rows = [after(START, OVER, at_s=0.0), after(START, REQUESTED), Row(3)]
    assert summary(scene(rows)).startswith("runs done 0/3, episodes 1/3, waiting 1, spent $0.50 of $10.00, ETA ")


def test_the_guess_of_the_end_is_from_the_mean_of_the_episodes_that_are_over() -> None:
    assert remaining_s(scene([Row(1), Row(2)])) is None and summary(scene([Row(1)])).endswith("ETA -")
    over = [Row(1, Phase.FINAL, started_s=0.0, ended_s=30.0), Row(2, Phase.OVER, started_s=10.0, ended_s=60.0)]
    going = Row(3, Phase.WORKING, started_s=90.0)
    assert remaining_s(scene([*over, going], now_s=100.0)) == 30.0
    assert remaining_s(scene([*over, going, Row(4), Row(5)], now_s=100.0)) == (30.0 + 40.0 + 40.0) / 2


def test_more_runs_than_lines_show_those_first_where_something_happens() -> None:
    rows = [Row(n, Phase.FINAL, outcome="passed") for n in range(1, 11)] + [Row(n) for n in range(11, 19)]
    rows += [Row(19, Phase.WORKING), Row(20, Phase.WORKING)]
    lines = drawn(scene(rows), lines_max=12)
    assert [line.split()[0] for line in lines[1:8]] == ["19", "20", "1", "2", "3", "4", "5"]
    assert lines[8] == "... and 13 more" and len(lines) == 11


@given(
    text=st.text(), step=st.text(), lines_max=st.integers(1, 40), width=st.integers(20, 200), count=st.integers(0, 60)
)
def test_no_text_and_no_size_breaks_the_view(text: str, step: str, lines_max: int, width: int, count: int) -> None:
    from runner.report.escape import shown

    rows = [after(START, turn(1, call(text, command=text))) for _ in range(count)]
    lines = drawn(scene(rows, step=shown(step)), lines_max, width)
    assert len(lines) <= max(2, lines_max - 1)
    assert all(char.isprintable() for line in lines for char in line)


# On a terminal


class Screen:
    """As much of a terminal as is needed to see what a person sees: lines, the cursor up, and lines erased."""

    def __init__(self) -> None:
        self.lines, self.row, self.column = [""], 0, 0

    def feed(self, text: str) -> "Screen":
        for control, letters in re.findall(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)|([^\x1b\r\n]+)", text):
            if letters:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + letters + line[self.column + len(letters) :]
                self.column += len(letters)
            else:
                self._control(control)
        return self

    def _control(self, control: str) -> None:
        if control == "\r":
            self.column = 0
        elif control == "\n":
            self.row += 1
            self.lines += [""] * (self.row + 1 - len(self.lines))
        elif control == "\x1b[2K":
            self.lines[self.row] = ""
        elif control.endswith("A"):
            self.row -= int(control[2:-1] or 1)
            assert self.row >= 0, "the drawing climbed over the top"
        else:
            assert control.endswith("m"), repr(control)

    def text(self) -> list[str]:
        """Down to the last line that is not empty."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n").split("\n")


class Terminal:
    """A program on a pseudo-terminal of 80 columns and 24 lines; what it wrote there."""

    def __init__(self, command: Sequence[str], cwd: Path, *, report: int | None = None, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        env = {**clean_environment(os.environ["HOME"]), "TERM": "xterm-256color", **environment}
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=theirs, stdout=theirs if report is None else report, stderr=theirs
        )
        os.close(theirs)
        self.written = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        import codecs

        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while part := os.read(self._ours, 65536):
                self.written += decoder.decode(part)
        except OSError:  # the other end is closed
            pass

    def end(self, timeout_s: float = 120.0) -> str:
        self.process.wait(timeout_s)
        self._reader.join(10)
        os.close(self._ours)
        return self.written


DRIVE = """
import sys, time
from runner.records.episode import Limits, ToolCall
from runner.records.events import EndEvent, StartEvent, TurnEvent
from runner.records.outcome import Outcome, OutcomeKind
from runner.records.grading import GradingPhase, GradingStep
from runner.records.run import JobConfig, Run
from runner.report.console import Console
from runner.report.progress import Progress

request = JobConfig(task="t", scale="full", agent="model", runs={runs}, concurrency=2, name="j", dollars_max=10.0,
    limits=Limits(turns=30))
with Progress(quiet={quiet}) as progress:
    progress.say("building image")
    time.sleep(0.6)
    progress.job(request)
    console = Console(sys.stdout, "Accuracy", target=3.0)
    console.header(request, "A title")
    for number in (1, 2):
        progress.event(number, StartEvent(run=number))
        calls = (ToolCall("1", "bash", {{"command": "ls"}}),)
        progress.event(number, TurnEvent(turn=1, say="", calls=calls))
    time.sleep(0.6)
    progress.event(1, EndEvent(ending="submitted", dollars=0.5))
    progress.grading(GradingStep(GradingPhase.WARMING, "round 1: warming 4 containers", 1))
    time.sleep(0.6)
    run = Run(number=1, outcome=Outcome(OutcomeKind.TOO_SLOW, "a reason longer than the terminal is wide: " + "x" * 60))
    progress.finished(run)
    console.run(run)
    print("no end of line", end="")
    {then}
"""


def driven(project: Path, then: str = "time.sleep(0.6)", runs: int = 3, quiet: bool = False, **given: Any) -> Terminal:
    return Terminal([sys.executable, "-c", DRIVE.format(then=then, runs=runs, quiet=quiet)], project, **given)


# What was started in the background ignores the signal: it is heard again here, whoever started the tests.
CTRL_C = "import os, signal; signal.signal(2, signal.default_int_handler); os.kill(os.getpid(), 2); time.sleep(5)"


@pytest.fixture(scope="module")
def written(project: Path) -> Mapping[str, str]:
    """What a job wrote on terminals of several kinds; they go on side by side, since most of their time is waiting."""
    terminals = {
        "plain": driven(project),
        "many runs": driven(project, runs=100),
        "quiet": driven(project, quiet=True),
        "no colour": driven(project, NO_COLOR="1"),
        "dumb": driven(project, TERM="dumb"),
        "a fault": driven(project, "raise ValueError('a fault')"),
        "Ctrl-C": driven(project, CTRL_C),
    }
    return {name: terminal.end() for name, terminal in terminals.items()}


@pytest.mark.slow
def test_report_lines_come_out_whole_above_the_table_and_the_table_is_gone_at_the_end(
    written: Mapping[str, str],
) -> None:
    plain = written["plain"]
    assert "\x1b[?25l" not in plain  # the cursor is never hidden
    for words in ("building image", "running bash", "frozen", "grading", "too slow", "spent $0.50 of $10.00"):
        assert words in plain
    left = Screen().feed(plain).text()
    reason = "a reason longer than the terminal is wide: " + "x" * 60
    assert left == [
        "Task: t (A title), scale full, agent model",
        "Running 3 test iterations, 2 at a time...",
        "=" * 60,
        f"✗ Run 1: FAILURE - {reason}",
        "",
        "no end of line",
    ]


@pytest.mark.slow
def test_the_table_is_under_the_report_while_it_goes_on(project: Path) -> None:
    terminal = driven(project, "time.sleep(30)")
    wait_until(lambda: "ETA" in terminal.written.partition("FAILURE")[2])
    lines = Screen().feed(terminal.written.rpartition("ETA")[0]).text()
    terminal.process.kill()
    terminal.end()
    heading = next(number for number, line in enumerate(lines) if line.startswith("run"))
    assert any(line.startswith("✗ Run 1: FAILURE") for line in lines[:heading])
    assert [line.split()[1] for line in lines[heading + 1 : heading + 4]] == ["too", "running", "waiting"]


@pytest.mark.slow
def test_many_runs_stay_within_the_terminal(written: Mapping[str, str]) -> None:
    assert "... and 81 more" in written["many runs"]
    assert Screen().feed(written["many runs"]).text()[-1] == "no end of line"


@pytest.mark.slow
def test_a_report_that_goes_to_a_file_goes_there_and_is_plain(project: Path, tmp_path: Path) -> None:
    with (tmp_path / "report").open("w") as report:
        written = driven(project, report=report.fileno()).end()
    assert "running bash" in written and "FAILURE" not in written
    text = (tmp_path / "report").read_text()
    assert "✗ Run 1: FAILURE" in text and text.endswith("no end of line") and "\x1b" not in text


@pytest.mark.slow
def test_quiet_leaves_the_report_alone(written: Mapping[str, str]) -> None:
    quiet = written["quiet"]
    assert "\x1b" not in quiet and "running" not in quiet and "✗ Run 1: FAILURE" in quiet


HURRY = """
import threading
    def hurry(number):
        for turn in range(3000):
            progress.event(number, TurnEvent(turn=turn, say="", calls=calls))
            progress.say("step of " + str(number))
    threads = [threading.Thread(target=hurry, args=(number,)) for number in range(1, 5)]
    [thread.start() for thread in threads]
    for number in range(200):
        print("line", number)
        time.sleep(0.004)
    [thread.join() for thread in threads]
"""


@pytest.mark.slow
def test_lines_come_out_in_order_while_many_threads_tell(project: Path) -> None:
    left = Screen().feed(driven(project, HURRY.strip(), runs=4).end()).text()
    first = next(number for number, line in enumerate(left) if line.endswith("no end of lineline 0"))
    assert left[first + 1 :] == [f"line {number}" for number in range(1, 200)]


@pytest.mark.slow
def test_no_color_leaves_no_colour(written: Mapping[str, str]) -> None:
    coloured, plain = written["plain"], written["no colour"]
    colours = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-7]|9[0-7])[;m]")
    assert colours.search(coloured) and not colours.search(plain) and "running bash" in plain


@pytest.mark.slow
def test_a_dumb_terminal_gets_plain_lines(written: Mapping[str, str]) -> None:
    assert "run 1: episode over (submitted, " in written["dumb"] and "\x1b" not in written["dumb"]
    assert "round 1: warming 4 containers" in written["dumb"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["a fault", "Ctrl-C"])
def test_an_exception_and_ctrl_c_leave_the_terminal_as_it_was(written: Mapping[str, str], how: str) -> None:
    left = Screen().feed(written[how]).text()
    assert not any(line.startswith(("run ", "runs done ")) for line in left)
    at = next(number for number, line in enumerate(left) if line.startswith("no end of line"))
    assert "Traceback" in left[at] and left[-1].startswith(("ValueError", "KeyboardInterrupt"))


@pytest.mark.slow
@pytest.mark.usefixtures("measuring_cpu")
def test_a_whole_job_on_a_terminal_keeps_its_report(project: Path, tmp_path: Path, nbody_spec: object) -> None:
    command = [sys.executable, "-m", "runner", "--runs", "2", "--task", "slow_nbody", "--scale", "small"]
    command += ["--agent", "noop", "--max-rounds", "1", "--name", "tty", "--output", str(tmp_path)]
    terminal = Terminal(command, project)
    written = terminal.end(300)
    assert terminal.process.returncode in (0, 5)
    for words in ("waiting", "waiting 2", "round 1: warming"):
        assert words in written
    left = Screen().feed(written).text()
    assert "Running 2 test iterations, 2 at a time..." in left and left.count("Test Results:") == 1
    assert [line.strip() for line in left].count("PERFORMANCE METRICS:") == 2
    assert left[-2].startswith("Analysis: ") and left[-1].startswith("Report: ")
    assert sum(line.startswith("Results: ") for line in left) == 1
    assert not any(line.startswith(("run ", "runs done ")) for line in left)


@pytest.mark.slow
@pytest.mark.usefixtures("measuring_cpu")
def test_json_on_standard_output_is_not_drawn_on_the_terminal(
    project: Path, tmp_path: Path, nbody_spec: object
) -> None:
    file = project / "problem_data" / "slow_nbody" / "baseline.py"
    command = [sys.executable, "-m", "runner", "grade", str(file), "--task", "slow_nbody", "--scale", "small", "--json"]
    with (tmp_path / "json").open("w") as report:
        terminal = Terminal([*command, "--max-rounds", "1"], project, report=report.fileno())
        written = terminal.end(300)
    assert json.loads((tmp_path / "json").read_text())["samples"] and "round 1" in written and "samples" not in written


@pytest.mark.slow
def test_a_closed_terminal_ends_nothing(project: Path, tmp_path: Path) -> None:
    ignore = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); print(); print('hangups ignored', flush=True); "
    )
    then = f"time.sleep(1); open({str(tmp_path / 'went on')!r}, 'w').close()"
    terminal = driven(project, ignore + then)
    wait_until(lambda: "hangups ignored" in terminal.written)
    os.close(terminal._ours)
    terminal.process.wait(30)
    assert (tmp_path / "went on").exists()


def test_into_a_pipe_a_note_is_a_line_and_the_repeats_of_a_busy_host_are_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress() as progress:
        progress.grading(GradingStep(GradingPhase.NOTE, "the certificate is not used"))
        for _ in range(40):
            progress.grading(GradingStep(GradingPhase.REPEATED, "a sample was repeated"))
    said = capsys.readouterr().err
    assert "the certificate is not used" in said and "repeated" not in said
