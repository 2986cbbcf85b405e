"""What hosts say of their calibration, whatever they say."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from runner.faults import InfrastructureFault
from runner.hosts import calibrations
from runner.hosts.calibrations import calibrate_hosts
from runner.hosts.cluster import Host
from runner.hosts.messages import LineKind, Request
from runner.records.run import JobConfig
from tests.fakes.fake_cluster import FakeCluster, Play, say

RESULT = {"study": {"min_detectable_ratio": 1.02}, "certificate": {"id": "c"}, "side_by_side": {"slots": 1}}


def says(result: Any) -> Play:
    def play(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        yield say(LineKind.CALIBRATED, result=result)

    return play


@pytest.mark.parametrize(
    "odd",
    [
        {},
        "fine",
        {**RESULT, "study": None},
        {**RESULT, "study": {"min_detectable_ratio": "small"}},
        {**RESULT, "certificate": "c"},
        {**RESULT, "side_by_side": {}},
        {**RESULT, "side_by_side": {"slots": "two"}},
    ],
)
def test_a_result_that_is_none_is_that_hosts_failure_and_the_others_count(odd: Any) -> None:
    cluster = FakeCluster({"a": says(odd), "b": says(RESULT)})
    request = Request(runner="1", config=JobConfig(task="t"), work="calibrate", rounds=2)
    done = calibrate_hosts(cluster, request, b"", 2, lambda text: None)
    assert done.results == {"b": RESULT}
    assert "not the result of a calibration" in done.failed["a"]


REQUEST = Request(runner="1", config=JobConfig(task="t"), work="calibrate", rounds=2)


class Twins(FakeCluster):
    """Its hosts have one name."""

    def hosts(self) -> Sequence[Host]:
        return [Host("a", node) for node in self.plays]


def test_hosts_of_one_name_are_told_to_take_two_and_nothing_starts() -> None:
    cluster = Twins({"node-1": says(RESULT), "node-2": says(RESULT)})
    with pytest.raises(InfrastructureFault, match="several hosts are called a"):
        calibrate_hosts(cluster, REQUEST, b"", 2, lambda text: None)
    assert not cluster.requests


class Leaving(FakeCluster):
    """One of its hosts leaves before it takes up what it was asked, or is busy for a while."""

    looks = 0

    def hosts(self) -> Sequence[Host]:
        self.looks += 1
        if self.looks == 4:
            self.busy.discard("b")
        return [host for host in super().hosts() if host.name != "c" or self.looks == 1]


@pytest.mark.slow
def test_a_host_that_does_not_begin_is_told_of_and_one_that_is_gone_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibrations, "PLACED_S", 0.2)
    cluster = Leaving({name: says(RESULT) for name in "abc"}, busy={"b", "c"})
    said: list[str] = []
    done = calibrate_hosts(cluster, REQUEST, b"", 3, said.append)
    assert set(done.results) == {"a", "b"} and done.failed == {"c": "it was gone before it began"}
    assert said == ["b has not begun: it is busy, perhaps with another job"] and "c" in cluster.dropped
