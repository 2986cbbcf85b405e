"""What the measuring CPU has worked, by the finest account that the kernel keeps of it."""

from pathlib import Path

import pytest

from runner.grading.calibration import host_load as module
from runner.grading.calibration.host_load import FINE_UNIT_S, TICKS_PER_S, host_load

# Of CPU 1: 20 s of user's, nice and system's work in ticks, 3 s stolen; idle and interrupts count for nobody.
STAT = "cpu1 " + " ".join(str(round(seconds * TICKS_PER_S)) for seconds in (10, 4, 6, 70, 1, 2, 2, 3, 0, 0)) + "\n"
SCHEDSTAT = "version 15\ncpu0 0 0 0 0 0 0 1000000000 0 0\ncpu1 0 0 0 0 0 0 20100000007 0 0\n"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Files as the kernel has them, by their names."""

    def write(**files: str) -> None:
        read = module._lines

        def lines(path: str) -> list[str]:
            known = {"/proc/stat": "stat", module.CPUACCT: "cpuacct", module.SCHEDSTAT: "schedstat"}
            return files.get(known[path], "").splitlines() if path in known else read(path)

        monkeypatch.setattr(module, "_lines", lines)
        module._finest_account.cache_clear()

    yield write
    module._finest_account.cache_clear()


@pytest.mark.parametrize(
    ("files", "busy_s"),
    [
        pytest.param({"cpuacct": "5 19900000001\n"}, 22.900000001, id="version 1 of cgroups"),
        pytest.param({"schedstat": SCHEDSTAT}, 23.100000007, id="the scheduler's account"),
        pytest.param({"cpuacct": "5 19900000001\n", "schedstat": SCHEDSTAT}, 22.900000001, id="both"),
        pytest.param({"cpuacct": "5 700000000\n"}, 23.0, id="of a container's own cgroup"),
        pytest.param({"cpuacct": "5\n", "schedstat": "version 15\n"}, 23.0, id="of other CPUs alone"),
        pytest.param({}, 23.0, id="ticks alone"),
    ],
)
def test_what_a_cpu_worked_is_read_from_the_finest_account_of_the_whole_machine(
    kernel,  # type: ignore[no-untyped-def]
    files: dict[str, str],
    busy_s: float,
) -> None:
    kernel(stat=STAT, **files)
    load = host_load("1")
    assert load.busy_s == pytest.approx(busy_s, abs=1e-9)
    assert load.busy_unit_s == (None if busy_s == 23.0 else FINE_UNIT_S), "what it is told to"


def test_where_nothing_can_be_read_nothing_is_known(kernel) -> None:  # type: ignore[no-untyped-def]
    kernel(cpuacct="5 19900000001\n")
    assert host_load("1").busy_s is None
