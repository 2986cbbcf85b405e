"""What hosts say of their calibration, whatever they say."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from runner.hosts.calibrations import calibrate_hosts
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
