"""`python -m runner clean`: what runners left that are gone, on the engine and under the caches."""

import json
import sys
from dataclasses import asdict

from runner.cli.exit_codes import INFRASTRUCTURE, OK
from runner.cli.options import CleanOptions
from runner.report.escape import shown
from runner.sandbox.engine import find_engine
from runner.sandbox.leftovers import Left, Leftover, leftovers, remove_orphans
from runner.sandbox.scratch import KINDS, sweep_scratch
from runner.settings import Settings

WORDS = {
    Left.HELD: "its runner lives: left alone",
    Left.ORPHANED: "its runner is gone",
    Left.UNKNOWN: "its runner is another machine's, or cannot be told: left alone",
}


def clean(settings: Settings, options: CleanOptions) -> int:
    """Remove every container whose runner is gone, and its folders under the caches.

    Returns the exit status: 3 where a container would not go.

    Raises:
        InfrastructureFault: no engine answers.
    """
    engine = find_engine(settings)
    found = leftovers(engine)
    stuck = [] if options.dry_run else remove_orphans(engine, found)
    if not options.dry_run:
        for kind in KINDS:
            sweep_scratch(kind)
    if options.json:
        print(json.dumps([{**asdict(each), "stuck": each in stuck} for each in found]))
    else:
        print("\n".join(map(_line, found)) or "no containers of ours")
    for each in stuck:
        print(f"error: container {each.id[:12]} could not be removed", file=sys.stderr)
        print(f"  hint: look at the engine's log, then `docker rm -f {each.id[:12]}`", file=sys.stderr)
    return INFRASTRUCTURE if stuck else OK


def _line(each: Leftover) -> str:
    of_job = f" of job {shown(each.job)}" if each.job else ""
    return f"{each.id[:12]} {shown(each.role)}{of_job}, {each.status} for {each.age_s:.0f} s: {WORDS[each.left]}"
