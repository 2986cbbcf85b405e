"""`python -m runner selftest --sandbox`: the hostile cases that ship with the product, on this host's engine."""

import difflib
import json
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from runner.cli.exit_codes import BELOW_THRESHOLD, INTERRUPTED, OK
from runner.cli.options import SelftestOptions
from runner.cli.signals import interrupt_on_sigterm
from runner.faults import Interrupted, UsageFault
from runner.report.progress import Progress
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.host_checks import check_engine
from runner.sandbox.image import resolve_image
from runner.sandbox.leftovers import sweep
from runner.selftest.besiege import Invariant, Siege, besiege, confusion, hostile_spec
from runner.selftest.hostile_corpus import HostileCase, read_hostile, slowed
from runner.settings import Settings

IMAGE = "base"
QUICK_EVERY = 6  # chosen: as for the cheats
MARKS = {True: "✓", False: "✗"}


def selftest_sandbox(settings: Settings, options: SelftestOptions) -> int:
    """Play the hostile cases; returns 0 when each ended as it must and the invariants held, else 1.

    Raises:
        Fault: before anything started, or the bystanders could not be started.
    """
    started = time.monotonic()
    cases = [slowed(case, options.slower) for case in chosen(read_hostile(), options)]
    results: list[Siege] = []

    with Progress(quiet=options.show.quiet) as progress:

        def done(result: Siege) -> None:
            results.append(result)
            if options.show.json:
                progress.say(f"{len(results)} of {len(cases)}: {_line(result)}")
            else:
                print(_line(result), flush=True)

        engine = find_engine(settings)
        unenforced = check_engine(engine.facts, settings)
        sweep(engine)
        image = resolve_image(engine, IMAGE, settings, say=progress.say)
        fleet = Fleet(engine, f"selftest-{secrets.token_hex(4)}")
        try:
            with interrupt_on_sigterm():
                spec = hostile_spec(image, settings.runtime, unenforced)
                held = besiege(fleet, spec, image, cases, done, options.slower)
        except (KeyboardInterrupt, Interrupted):
            print(f"interrupted: {len(results)} of {len(cases)} cases are done", file=sys.stderr)
            if options.show.json:
                print(json.dumps(_record(results, ())))
            return INTERRUPTED
        finally:
            fleet.stop()
    if options.show.json:
        print(json.dumps(_record(results, held)))
    else:
        print("\n".join(_summary(results, held, time.monotonic() - started)))
    whole = len(results) == len(cases) and all(result.right for result in results)
    return OK if whole and all(invariant.held for invariant in held) else BELOW_THRESHOLD


def chosen(cases: Sequence[HostileCase], options: SelftestOptions) -> list[HostileCase]:
    """The cases that the flags ask for: by id, by category, or every sixth.

    Raises:
        UsageFault: one of them is not there.
    """
    if not options.only:
        return list(cases[::QUICK_EVERY] if options.quick else cases)
    known = {case.id for case in cases} | {case.category for case in cases}
    if unknown := sorted(set(options.only) - known):
        near = difflib.get_close_matches(unknown[0], sorted(known), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "the cases are the files of runner/selftest/hostile/"
        raise UsageFault(cause=f"no case {', '.join(unknown)}", hint=hint)
    return [case for case in cases if case.id in options.only or case.category in options.only]


def _line(result: Siege) -> str:
    line = f"{MARKS[result.right]} {result.id:44} {result.observed:14} {result.seconds:6.1f}s"
    return line if result.right else f"{line}  must be {result.expected}: {result.line}"


def _record(results: Sequence[Siege], held: Sequence[Invariant]) -> Mapping[str, object]:
    return {
        "cases": [asdict(result) for result in results],
        "confusion": confusion(results),
        "invariants": [asdict(invariant) for invariant in held],
    }


def _summary(results: Sequence[Siege], held: Sequence[Invariant], seconds: float) -> Iterator[str]:
    yield ""
    yield from _table(confusion(results))
    yield ""
    for invariant in held:
        yield f"{MARKS[invariant.held]} {invariant.name}: {invariant.seen}"
    yield f"{sum(result.right for result in results)} of {len(results)} hostile cases held, in {seconds:.0f} s"


def _table(found: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """How they must end (rows) and how they ended (columns); what lies beside the diagonal went wrong."""
    columns = sorted({*found, *(name for row in found.values() for name in row)})
    yield f"{'must end / ended':16}" + "".join(f"{name:>15}" for name in columns)
    for name in sorted(found):
        yield f"{name:16}" + "".join(f"{found[name].get(column, 0) or '.':>15}" for column in columns)
