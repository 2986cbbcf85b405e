"""What is checked before episodes are served; the socket and the real client are tested in tests/peers."""

import sys
from types import ModuleType
from typing import Any

import pytest

from runner.bridges.openenv_server import Serving, check_serving
from runner.faults import UsageFault


@pytest.fixture(autouse=True)
def websockets(monkeypatch: pytest.MonkeyPatch) -> None:
    server: Any = ModuleType("websockets.sync.server")
    server.serve = print
    sync: Any = ModuleType("websockets.sync")
    sync.server = server
    top: Any = ModuleType("websockets")
    top.sync = sync
    for module in (top, sync, server):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def serving(token: str, address: str = "127.0.0.1") -> Serving:
    return Serving(
        task="t", scale="full", reward=None, slots=1, idle_s=1.0, address=address, port=0, token=token
    )  # fmt: skip


@pytest.mark.parametrize(
    "token", ["schl\u00fcsselschl\u00fcssel", "sixteen or\nmore of them", "sixteen or more \udcff"]
)
def test_a_token_that_no_client_can_send_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(UsageFault, match="a header does not carry") as refused:
        check_serving(serving(token))
    assert token not in str(refused.value)


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "localhost.example.org"])
def test_what_others_reach_is_served_only_with_a_token(address: str) -> None:
    with pytest.raises(UsageFault, match="there is no token"):
        check_serving(serving("", address))
    check_serving(serving("0123456789abcdef", address))
