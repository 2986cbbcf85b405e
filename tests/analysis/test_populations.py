"""Populations and jobs whose truth is known: groups, effective numbers, bands and cost of the analysis."""

import shutil
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from sklearn.metrics import adjusted_rand_score

from runner.job.material import material_of
from runner.report.analysis.analysis import Analysis, analyze_job
from runner.report.analysis.convergence import Convergence, convergence_of
from runner.report.analysis.text import markdown
from runner.store.jobs import read_job
from tests.analysis.populations import (
    DRESSES,
    STARTER,
    WORLDS,
    coverage,
    inside_parser,
    population,
    program,
    write_job,
)

GIB = 1024**3


@pytest.fixture(scope="module")
def converged() -> dict[tuple[int, int], tuple[list[int], Convergence]]:
    """By families and variants: the true family of each run, and what is found of them."""
    parse = inside_parser()
    found = {}
    for families, variants in ((1, 7), (3, 7), (5, 4), (8, 3), (10, 1)):
        sources = list(population(families, variants, first=100 * families))
        facts = {number: parse(source, {}) for number, (_, source) in enumerate(sources, 1)}
        found[families, variants] = [family for family, _ in sources], convergence_of(parse(STARTER, {}), facts)
    return found


@pytest.mark.slow
def test_families_come_out_as_groups(converged: dict[tuple[int, int], tuple[list[int], Convergence]]) -> None:
    for truth, found in converged.values():
        labels = [next(g for g, group in enumerate(found.groups) if run in group) for run in found.runs]
        assert adjusted_rand_score(truth, labels) >= 0.9


@pytest.mark.slow
def test_the_effective_number_is_that_of_the_families(
    converged: dict[tuple[int, int], tuple[list[int], Convergence]],
) -> None:
    for (families, _), (_, found) in converged.items():
        assert found.distinct == pytest.approx(families, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("dress", DRESSES, ids=lambda dress: dress.__name__)
def test_a_dress_changes_no_figure(dress: type[str]) -> None:
    parse = inside_parser()
    starter, plain = parse(STARTER, {}), {n: parse(program(n), {}) for n in range(1, 5)}
    dressed = {n: parse(dress(program(n)), {}) for n in range(1, 5)}
    assert convergence_of(starter, dressed) == convergence_of(starter, plain)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: f"{world.runs} runs")
def test_the_band_holds_the_whole_true_curve_nearly_always(world: object) -> None:
    assert coverage(world, jobs=300) >= 0.93  # type: ignore[arg-type]


# Two hundred runs


def analysed(folder: Path, project: Path, runs: int) -> tuple[Analysis, float, int]:
    """(the analysis of so many runs, CPU seconds, bytes at the most); the parsing is done here, on what the tests wrote."""
    parse = inside_parser()
    sources = [source for _, source in population(20, 7)]
    write_job(folder, project / "tests" / "old_jobs" / "schema_1", runs, sources)
    tracemalloc.start()
    start = time.process_time()
    material = material_of(read_job(folder))
    facts = {number: parse(source.decode(), {}) for number, source in material.sources.items()}
    analysis = analyze_job(
        material.config, list(material.runs.values()), material.efforts, starter=parse(STARTER, {}), submissions=facts
    )
    markdown(analysis)
    seconds, most = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    shutil.rmtree(folder)
    return analysis, seconds, most


@pytest.mark.slow
def test_two_hundred_runs_take_little_memory_and_no_more_than_the_square_of_their_number(
    project: Path, tmp_path: Path
) -> None:
    few, few_s, _ = analysed(tmp_path / "few", project, 50)
    many, many_s, most = analysed(tmp_path / "many", project, 200)
    assert few.convergence is not None and many.convergence is not None
    assert many.of_all.counted == 200 and len(many.convergence.runs) == 200
    assert most < GIB and many_s < 16 * few_s


@pytest.mark.slow
def test_the_benchmark_prints_what_it_found_and_ends_well(project: Path) -> None:
    command = [sys.executable, "bench/analysis.py", "--jobs", "40", "--runs", "0"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "adjusted Rand" in done.stdout and "holds the curve" in done.stdout, done.stderr
