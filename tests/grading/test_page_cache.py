"""Pages of the image's files, which all containers share: there before anything is measured, and nobody's to drop."""

from collections.abc import Iterator

import pytest

from runner.budget.clock import SystemClock
from runner.grading.context import Candidate, GradingContext
from runner.grading.page_cache import read_image
from runner.grading.rounds import sample_rounds
from runner.job.setup import build_context, build_rules, build_spec
from runner.records.grading import Ending
from runner.records.run import GradingConfig
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings
from runner.tasks.task import Task
from tests.conftest import Slot

# What the file of a solution is followed by: it reads the larger files of the image before its answer, in any case; ...
READS = b"""
import os as _os
_quick = simulate

def _each_file(use):
    for here, _, names in _os.walk("/usr/lib"):
        for name in names:
            try:
                file = _os.open(_os.path.join(here, name), _os.O_RDONLY | _os.O_NOFOLLOW)
            except OSError:
                continue
            if _os.fstat(file).st_size > 500_000:
                use(file)
            _os.close(file)

def _read(file):
    while _os.read(file, 1 << 20):
        pass

def simulate(**given):
    _each_file(_read)
    return _quick(**given)
"""
# ... and then drops them.
EVICTS = b"""
_slow = simulate

def simulate(**given):
    answer = _slow(**given)
    _each_file(lambda file: _os.posix_fadvise(file, 0, 0, _os.POSIX_FADV_DONTNEED))
    return answer
"""
# A neighbour that drops pages, and may, makes the next sample twice as slow here.
RATIO_MAX = 1.4


@pytest.fixture
def context(engine: Engine, measuring_slot: Slot, fleet: Fleet, nbody: Task) -> Iterator[GradingContext]:
    spec, image = build_spec(engine, nbody, Settings(), print)
    rules = build_rules(engine, nbody, "small", image, GradingConfig())
    with measuring_slot() as cpu:
        yield build_context(fleet, nbody, "small", spec, rules, SystemClock(), lambda _: None).with_cpu(cpu)


def test_the_whole_image_is_read_before_anything_is_measured(engine: Engine, context: GradingContext) -> None:
    image_bytes = engine.client.images.get(context.spec.image_id).attrs["Size"]
    assert 0.8 * image_bytes < read_image(context) < 1.2 * image_bytes


def test_a_neighbour_that_drops_pages_slows_nobody(context: GradingContext, nbody: Task) -> None:
    solution = (nbody.oracle or b"") + READS
    seconds: dict[bytes, list[float]] = {solution: [], solution + EVICTS: []}
    for _ in range(3):
        for neighbour, found in seconds.items():
            samples = sample_rounds(context, [Candidate(1, solution), Candidate(2, neighbour)], 1)
            assert {sample.ending for sample in samples if sample.run == 1} == {Ending.ANSWERED}
            own = [sample.seconds for sample in samples if sample.side == "candidate" and sample.run == 1]
            found += own[1:]  # each comes right after one of the neighbour's
    # The quickest: a slower one may tell of this machine, and pages that are gone slow every sample.
    alone, beside = (min(found) for found in seconds.values())
    assert beside / alone < RATIO_MAX
