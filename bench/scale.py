"""Many sandboxes on one engine: side by side, started at a bounded pace; one after the other, beside a plain `docker run`.

    python bench/scale.py --at-once 64 --in-a-row 1000

Memory and descriptors are this process's, before and after. Needs an engine with the image `base`. Exit status 1 where a
sandbox does not answer or shares its user id, or something is left on the engine.
"""

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import project_path  # noqa: F401
from runner.job.setup import build_spec, load_task
from runner.sandbox.container import Received, Sandbox
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import AGENT_ROLE, SandboxSpec
from runner.settings import Settings

STARTING = 4  # chosen: a start takes a CPU, and two CPUs start no more at a time without waiting for each other
PLAIN_EVERY = 20  # chosen: enough plain runs to compare with, and they cost as much as a sandbox


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at-once", type=int, default=64, help="sandboxes side by side")
    parser.add_argument("--in-a-row", type=int, default=1000, help="sandboxes one after the other")
    options = parser.parse_args()
    engine = find_engine(Settings())
    spec, _ = build_spec(engine, load_task(Settings(), "slow_nbody"), Settings(), print)
    fleet = Fleet(engine, f"scale-{os.getpid()}")
    if options.at_once:
        at_once(fleet, spec, options.at_once)
    if options.in_a_row:
        in_a_row(fleet, spec, options.in_a_row)
    left = fleet.containers_left()
    print(f"left on the engine: {len(left)}")
    return 1 if left or fleet.leaks else 0


def at_once(fleet: Fleet, spec: SandboxSpec, count: int) -> None:
    """All open at one time; each answers, and all are gone."""
    cpus, pace, start_s = all_cpus(fleet.engine), threading.Semaphore(STARTING), time.monotonic()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(count) as pool:

        def open_one(_: int) -> tuple[Sandbox, float]:
            with pace:
                begun_s = time.monotonic()
                sandbox = stack.enter_context(fleet.open(spec, "toolserver", role=AGENT_ROLE, cpuset=cpus))
                return sandbox, time.monotonic() - begun_s

        opened = list(pool.map(open_one, range(count)))
        up_s = time.monotonic() - start_s
        asked_s = [seconds for _ in range(3) for seconds in pool.map(ping_s, [sandbox for sandbox, _ in opened])]
        uids = {sandbox.place.uid for sandbox, _ in opened}
        if len(uids) < count:
            raise SystemExit(f"{count} sandboxes share {len(uids)} user ids")
        each_ms, trip_ms = (statistics.median(times) * 1e3 for times in ([s for _, s in opened], asked_s))
        print(f"{count} at once: up in {up_s:.1f} s, {each_ms:.0f} ms each at the median, {len(uids)} user ids")
        print(f"{count} at once: a round trip {trip_ms:.1f} ms at the median, all asked together")
        end_s = time.monotonic()
    print(f"{count} at once: all gone {time.monotonic() - end_s:.1f} s after")


def ping_s(sandbox: Sandbox) -> float:
    """Seconds of one round trip."""
    start_s = time.monotonic()
    answer = sandbox.ask({"op": "ping"}, deadline_s=60.0)
    if not isinstance(answer, Received):
        raise SystemExit(f"a sandbox did not answer: {answer.detail}")
    return time.monotonic() - start_s


def in_a_row(fleet: Fleet, spec: SandboxSpec, count: int) -> None:
    """One after the other, what they take, and what this process has after a hundred of them and after all."""
    ours, plain, marks = [], [], []
    for number in range(count):
        begun_s = time.monotonic()
        with fleet.open(spec, "toolserver", role=AGENT_ROLE, cpuset=all_cpus(fleet.engine)) as sandbox:
            ping_s(sandbox)
        ours.append(time.monotonic() - begun_s)
        if number % PLAIN_EVERY == 0:
            plain.append(plain_s(spec))
        if number in (min(100, count // 2), count - 1):
            marks.append(held())
    print(
        f"{count} in a row: {statistics.median(ours) * 1e3:.0f} ms each at the median, "
        f"a plain `docker run` {statistics.median(plain) * 1e3:.0f} ms; "
        f"memory {marks[0][0]} to {marks[-1][0]} MiB, descriptors {marks[0][1]} to {marks[-1][1]}, "
        f"threads {marks[0][2]} to {marks[-1][2]}"
    )


def plain_s(spec: SandboxSpec) -> float:
    """Seconds of a plain run of the same image."""
    start_s = time.monotonic()
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", spec.python, spec.image_id, "-c", "pass"]
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start_s


def held() -> tuple[int, int, int]:
    """(MiB at most so far, descriptors, threads) of this process."""
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return peak_mib, len(os.listdir("/proc/self/fd")), threading.active_count()


if __name__ == "__main__":
    sys.exit(main())
