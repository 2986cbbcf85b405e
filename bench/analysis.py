"""Does the analysis find what is known to be there, and what does it take? On made-up populations and jobs.

    python bench/analysis.py [--jobs 1000] [--runs 200]

Populations of k families in n dresses each (other names, order, layout, comments, types, aliases): do the families come out
as groups, and their number as that of distinct solutions? Jobs of a known pass-rate curve: in how many does the 95 % band
hold the whole of it? And `runner analyze` on a job of `--runs` runs, with the parsing sandbox: seconds and memory (0 leaves
that out; it needs an engine). One line a requirement, PASS or FAIL; exit status 1 if any failed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sklearn.metrics import adjusted_rand_score

import project_path  # noqa: F401
from runner.report.analysis.convergence import convergence_of
from tests.analysis.populations import STARTER, WORLDS, coverage, inside_parser, population, write_job

ROOT = Path(__file__).resolve().parents[1]
SHAPES = ((1, 7), (2, 10), (3, 7), (5, 4), (8, 3), (10, 10), (20, 1))
DRAWS = 3  # populations of each shape
GIB = 1024**3


def populations() -> Iterator[tuple[bool, str]]:
    """(whether it holds, what was found) of each shape of a population."""
    parse = inside_parser()
    starter = parse(STARTER, {})
    for families, variants in SHAPES:
        rands, numbers = [], []
        for draw in range(DRAWS):
            sources = list(population(families, variants, first=1000 * draw + 100 * families))
            found = convergence_of(starter, {n: parse(source, {}) for n, (_, source) in enumerate(sources, 1)})
            labels = [next(g for g, group in enumerate(found.groups) if run in group) for run in found.runs]
            rands.append(float(adjusted_rand_score([family for family, _ in sources], labels)))
            numbers.append(found.distinct or 0.0)
        holds = min(rands) >= 0.9 and all(abs(number / families - 1.0) <= 0.15 for number in numbers)
        said = ", ".join(f"{number:.2f}" for number in numbers)
        yield holds, f"{families} families x {variants}: adjusted Rand {min(rands):.2f} at the least, distinct {said}"


def bands(jobs: int) -> Iterator[tuple[bool, str]]:
    """The same of each world."""
    for world in WORLDS:
        held = coverage(world, jobs)
        yield (
            held >= 0.93,
            f"{world.runs} runs, {100 * world.failing:.0f} % failing: the band holds the curve in {held:.3f}",
        )


def cost(runs: int) -> Iterator[tuple[bool, str]]:
    """The same of one large job."""
    with tempfile.TemporaryDirectory() as folder:
        sources = [source for _, source in population(20, 7)]
        job = write_job(Path(folder) / "job", ROOT / "tests" / "old_jobs" / "schema_1", runs, sources)
        start = time.perf_counter()
        command = [sys.executable, "-m", "runner", "analyze", str(job), "--json", "--quiet"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    compared = len((json.loads(done.stdout)["convergence"] or {"runs": []})["runs"])
    holds = seconds <= 60 and most <= GIB and compared == runs
    yield holds, f"analyze of {runs} runs: {seconds:.1f} s, {most / GIB:.2f} GiB, {compared} compared"


def main() -> int:
    """Print a line a requirement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000, metavar="N", help="simulated jobs of each world")
    parser.add_argument("--runs", type=int, default=200, metavar="N", help="runs of the large job; 0: none")
    given = parser.parse_args()
    held = True
    for part in (populations(), bands(given.jobs), cost(given.runs) if given.runs else iter(())):
        for holds, words in part:
            print(f"{'PASS' if holds else 'FAIL'}  {words}", flush=True)
            held = held and holds
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
