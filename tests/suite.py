"""The whole suite, in three parts at once: what measures, what needs the engine for something else, what needs none.

`python -m tests.suite [arguments of pytest]`. Samples are measured on the last CPU, and a test that measures waits for
containers most of the time; so all the others run beside it, kept to the first CPU with every program and sandbox that they
start. With a single CPU the parts run one after the other. Images that tests imported are removed at the end. Exit status 1
unless all pass, and unless none of our containers is left on the engine.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence

from runner.faults import Fault
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.image import remove_image
from runner.sandbox.spec import LABEL
from runner.settings import Settings

PARTS = {  # name: the marker of its tests; the first one measures
    "what measures": "measures",
    "what needs the engine and measures nothing": "engine and not measures",
    "what needs no engine": "not engine",
}
SLOWEST = ("--durations=20", "--durations-min=3")  # chosen: where the minutes of a part go
# Images that imports of the tests' own tasks make, by how their names begin.
IMPORTED = tuple(f"runner-harbor-{task}:" for task in ("harbor", "sum-of-squares", "three-steps", "witness"))
GONE_S = 10.0  # chosen: an engine takes some time for what it was told to remove
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


def images_there(engine: Engine, named: tuple[str, ...] = IMPORTED) -> set[str]:
    """The images whose names begin so."""
    return {tag for image in engine.client.api.images() for tag in image["RepoTags"] or () if tag.startswith(named)}


def containers_there(engine: Engine) -> set[str]:
    """The containers of a runner."""
    return {each["Id"][:12] for each in engine.client.api.containers(all=True, filters={"label": LABEL})}


def forget_imported(engine: Engine, before: Collection[str], named: tuple[str, ...] = IMPORTED) -> None:
    """Remove the images of such names that were imported since."""
    for name in sorted(images_there(engine, named) - set(before)):
        remove_image(engine, name)


def left_by_tests(engine: Engine, before: Collection[str]) -> list[str]:
    """The containers that are still there after a while, and were not before."""
    end_s = time.monotonic() + GONE_S
    while (left := containers_there(engine) - set(before)) and time.monotonic() < end_s:
        time.sleep(0.2)
    return sorted(left)


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
    engine = _engine()
    images, containers = (images_there(engine), containers_there(engine)) if engine else (set(), set())
    statuses = side_by_side(commands) if several else [subprocess.call(command) for command in commands.values()]
    left = []
    if engine is not None:
        forget_imported(engine, images)
        left = left_by_tests(engine, containers)
    sys.stdout.writelines(f"left on the engine: container {name}\n" for name in left)
    return verdict(statuses, chosen=bool(arguments)) or int(bool(left))


def _engine() -> Engine | None:
    try:
        return find_engine(Settings())
    except Fault:
        return None  # each test that needs one says so


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
