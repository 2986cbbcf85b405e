"""The whole suite, in two parts at once: what needs no engine on the first CPU, and what needs one.

`python -m tests.suite [arguments of pytest]`. The engine's tests measure on the last CPU and wait most of the time, so the
others fit beside them. With a single CPU they run one after the other. Exit status 1 unless both parts pass.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence

PLAIN, ENGINE = "not engine", "engine"


def first_cpu_only() -> None:
    """Run in a child before its program: its processes stay off the CPU that is measured on."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def part(marker: str, arguments: Sequence[str]) -> list[str]:
    """The command line of one part."""
    return [sys.executable, "-m", "pytest", "-m", marker, *arguments]


def main(arguments: Sequence[str]) -> int:
    """Run both parts; the plain one's report follows the other's."""
    several = hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1
    if not several:
        return max(subprocess.call(part(marker, arguments)) for marker in (PLAIN, ENGINE))
    before: Callable[[], None] = first_cpu_only
    with tempfile.TemporaryFile("w+") as report:
        plain = subprocess.Popen(part(PLAIN, arguments), preexec_fn=before, stdout=report, stderr=subprocess.STDOUT)
        try:
            status = subprocess.call(part(ENGINE, arguments))
            status = max(status, plain.wait())
        except BaseException:
            plain.kill()
            raise
        finally:
            plain.wait()
            report.seek(0)
            sys.stdout.write(f"\n== the part that needs no engine ==\n{report.read()}")
    return int(status != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
