"""The whole suite, in three parts at once: what measures, what needs the engine for something else, what needs none.

`python -m tests.suite [arguments of pytest]`. Samples are measured on the last CPU, and a test that measures waits for
containers most of the time; so all the others run beside it, kept to the first CPU with every program and sandbox that they
start. With a single CPU the parts run one after the other. Exit status 1 unless all pass.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

PARTS = {  # name: the marker of its tests; the first one measures
    "what measures": "measures",
    "what needs the engine and measures nothing": "engine and not measures",
    "what needs no engine": "not engine",
}
SLOWEST = ("--durations=20", "--durations-min=3")  # chosen: where the minutes of a part go
NO_TESTS = 5  # pytest's exit status where nothing was selected
NICENESS = 10  # chosen: a tenth of the CPU time where both want all of it, and all of it where the other waits


def verdict(statuses: Sequence[int], *, chosen: bool) -> int:
    """The suite's exit status.

    Args:
        statuses: pytest's, of each part.
        chosen: the user named tests, of which a part may have none.
    """
    passed = [status == 0 or (chosen and status == NO_TESTS) for status in statuses]
    return int(not all(passed) or all(status == NO_TESTS for status in statuses))


def stand_back() -> None:
    """Keep this process, and what it starts, to its first CPU, and there behind what measures, which takes longest."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.nice(NICENESS)


def side_by_side(commands: Mapping[str, Sequence[str]]) -> list[int]:
    """Run all at once, the first one on every CPU; the reports of the others follow its own. (exit status of each)"""
    (_, measuring), *others = commands.items()
    with contextlib.ExitStack() as stack:
        started = []
        for name, command in others:
            report = stack.enter_context(tempfile.TemporaryFile("w+"))
            # Set in the child before its program: its processes stay off the CPU that is measured on.
            process = subprocess.Popen(command, preexec_fn=stand_back, stdout=report, stderr=subprocess.STDOUT)
            started.append((name, process, report))
        try:
            return [subprocess.call(measuring), *(process.wait() for _, process, _ in started)]
        except BaseException:
            for _, process, _ in started:
                process.kill()
            raise
        finally:
            for name, process, report in started:
                process.wait()
                report.seek(0)
                sys.stdout.write(f"\n== {name} ==\n{report.read()}")
                sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Run every part, side by side where there are two CPUs."""
    commands = {
        name: [sys.executable, "-m", "pytest", "-m", marker, *SLOWEST, *arguments] for name, marker in PARTS.items()
    }
    several = hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1
    statuses = side_by_side(commands) if several else [subprocess.call(command) for command in commands.values()]
    return verdict(statuses, chosen=bool(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
