"""The whole suite, in three parts at once: what measures, what needs the engine for something else, what needs none.

`python -m tests.suite [arguments of pytest]`. Samples are measured on the last CPU, and a test that measures waits for
containers most of the time; so all the others run beside it, kept to the first CPU with every program and sandbox that they
start. With a single CPU the parts run one after the other. Images that tests imported are removed at the end. Exit status 1
unless all pass, and unless the engine is then as it was before.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence

from runner.faults import Fault
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.image import remove_image
from runner.settings import Settings

PARTS = {  # name: the marker of its tests; the first one measures
    "what measures": "measures",
    "what needs the engine and measures nothing": "engine and not measures",
    "what needs no engine": "not engine",
}
SLOWEST = ("--durations=20", "--durations-min=3")  # chosen: where the minutes of a part go
IMPORTED = "runner-harbor-"  # names of images that only an import makes, here of the tests' own tasks
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


def things_there(engine: Engine | None) -> set[str]:
    """What an engine holds that tests may leave: containers, volumes, networks, and images that were imported."""
    if engine is None:
        return set()
    api = engine.client.api
    named = {tag for image in api.images() for tag in image["RepoTags"] or () if tag.startswith(IMPORTED)}
    volumes = {f"volume {each['Name']}" for each in api.volumes()["Volumes"] or ()}
    networks = {f"network {each['Name']}" for each in api.networks()}
    return named | volumes | networks | {f"container {each['Id'][:12]}" for each in api.containers(all=True)}


def forget_imported(engine: Engine | None, before: Collection[str], named: str = IMPORTED) -> list[str]:
    """Remove images of such a name that were imported since; what else there is that was not there before."""
    new = things_there(engine) - set(before)
    for name in sorted(each for each in new if each.startswith(named)):
        assert engine is not None
        remove_image(engine, name)
        new.discard(name)
    return sorted(new)


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
    before = things_there(engine)
    try:
        statuses = side_by_side(commands) if several else [subprocess.call(command) for command in commands.values()]
    finally:
        left = forget_imported(engine, before)
    sys.stdout.writelines(f"left on the engine: {thing}\n" for thing in left)
    return verdict(statuses, chosen=bool(arguments)) or int(bool(left))


def _engine() -> Engine | None:
    try:
        return find_engine(Settings())
    except Fault:
        return None  # each test that needs one says so


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
