"""An episode as an MCP client's calls see it; the protocol and the real client are tested in tests/peers."""

from types import SimpleNamespace
from typing import Any

from runner.agents.protocol import Observation
from runner.bridges.mcp_server import ServedEpisode
from runner.faults import StoreFault
from runner.job.training import Step
from runner.records.episode import Limits, Submission


def test_a_submission_that_cannot_be_kept_is_told_as_the_runners_fault() -> None:
    seen = Observation("do it", (), Limits(turns=2))
    over = Step(seen, None, terminated=True, truncated=False, info={"ending": "submitted", "reason": ""})
    env: Any = SimpleNamespace(
        reset=lambda: None, step=lambda call: over, submission=Submission(path="x.py", content=b"x = 1\n")
    )

    def keep(submission: Submission) -> str:
        raise StoreFault(cause="there is no room", hint="make some")

    episode = ServedEpisode(env, keep)
    text, is_error = episode.call("submit", {"path": "x.py"})
    assert is_error and "the runner failed" in text and "there is no room" in text and "make some" in text
    assert episode.call("bash", {"command": "true"}) == ("the episode is over: 'x.py' was submitted", True)
