"""What the environment says of other traffic does not steer the engine's, no further than it steers the docker command."""

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from runner.faults import EngineUnreachable
from runner.sandbox.engine import find_engine
from runner.settings import Settings

INFO = {"ServerVersion": "20.10.24", "NCPU": 2, "MemTotal": 2**33, "Runtimes": {"runc": {}}, "ID": "AAAA"}
VERSION = {"ApiVersion": "1.41", "Version": "20.10.24"}


class Handler(BaseHTTPRequestHandler):
    """As much of an engine as is asked when it is looked for."""

    def do_GET(self) -> None:
        body = json.dumps(VERSION if self.path.endswith("/version") else INFO).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return None

    def address_string(self) -> str:
        return "here"


@pytest.fixture
def tcp() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "docker.sock")
    with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"unix://{path}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1"])
def test_a_proxy_is_not_asked_for_an_engine_of_this_machine(
    tcp: str, unix: str, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for url in (tcp, unix):
        assert find_engine(Settings(docker_host=url)).facts.id == "AAAA"
    with pytest.raises(EngineUnreachable, match="prox"):
        find_engine(Settings(docker_host="tcp://10.0.0.1:1", engine_timeout_s=2.0))


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_other_traffic_do_not_replace_the_engines_own(
    tcp: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv(name, "/nonexistent/bundle.pem")
    api = find_engine(Settings(docker_host=tcp)).client.api
    api.verify = str(tmp_path / "ca.pem")  # as the client has it with DOCKER_CERT_PATH
    assert api.merge_environment_settings("https://there", {}, None, None, None)["verify"] == str(tmp_path / "ca.pem")


def test_an_engine_over_ssh_is_refused_by_name_at_once() -> None:
    with pytest.raises(EngineUnreachable) as caught:
        find_engine(Settings(docker_host="ssh://me@build-host:22"))
    assert "over ssh" in caught.value.cause and "ssh -NL" in caught.value.hint
    assert "me@build-host:22" in caught.value.hint


def test_something_else_that_answers_is_no_engine(tmp_path: Path) -> None:
    class Other(Handler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    path = str(tmp_path / "s.sock")
    with socketserver.ThreadingUnixStreamServer(path, Other) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with pytest.raises(EngineUnreachable, match="is not an engine"):
            find_engine(Settings(docker_host=f"unix://{path}"))
        server.shutdown()
