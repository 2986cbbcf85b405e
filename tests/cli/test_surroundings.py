"""Surroundings in which no job can begin: one line names the cause, one the fix for that situation, and it comes at once."""

import contextlib
import errno
import os
import pwd
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.faults import EngineUnreachable, StoreFault
from runner.sandbox.engine import Address, _unreachable, addresses, find_engine
from runner.sandbox.host_checks import examine
from runner.settings import Settings, cache_folder, drop_odd_sizes, home_folder
from tests.environment import clean_environment
from tests.fakes.docker_engine import HTML, ODD

Run = Callable[..., CompletedProcess[str]]
DRY_RUN = ("--dry-run", "--agent", "noop", "--task", "slow_nbody", "--scale", "small")


@pytest.fixture(scope="module")
def no_engine() -> Iterator[str]:
    """host:port of a server that is no engine; it answers everything as one with TLS answers plain HTTP."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(400)
            self.end_headers()
            self.wfile.write(b"Client sent an HTTP request to an HTTPS server.\n")

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


# (the environment, words of the cause, words of the hint); {address} is one where no engine answers.
SURROUNDINGS = {
    "refused": ({"DOCKER_HOST": "tcp://127.0.0.1:1"}, "connection refused", "on that host"),
    "no such host": ({"DOCKER_HOST": "tcp://no-such.invalid:2375"}, "cannot be resolved", "the name in DOCKER_HOST"),
    "no certificates": ({"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nowhere"},
                        "DOCKER_TLS_VERIFY or DOCKER_CERT_PATH is set", "or unset both"),
    "certificates alone": ({"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_CERT_PATH": "/nowhere"},
                           "or DOCKER_CERT_PATH is set", "or unset both"),
    "TLS is asked for": ({"DOCKER_HOST": "tcp://{address}"}, "the engine asks for TLS", "set DOCKER_TLS_VERIFY=1"),
    "ssh": ({"DOCKER_HOST": "ssh://user@127.0.0.1"}, "over ssh, which the runner does not speak", "ssh -NL"),
    "SOCKS": ({"DOCKER_HOST": "tcp://10.0.0.1:1", "ALL_PROXY": "socks5://127.0.0.1:9"}, "SOCKS proxy", "NO_PROXY"),
    "proxy": ({"DOCKER_HOST": "tcp://10.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}, "the proxy", "NO_PROXY"),
    "a proxy that is no URL": ({"DOCKER_HOST": "tcp://10.0.0.1:1", "HTTP_PROXY": "junk://"}, "the proxy", "NO_PROXY"),
    "no port": ({"DOCKER_HOST": "tcp://127.0.0.1:port"}, "127.0.0.1:port", "correct DOCKER_HOST"),
    "a word": ({"DOCKER_HOST": "engine"}, "no engine answers at engine", "correct DOCKER_HOST"),
    "no socket": ({"DOCKER_HOST": "unix:///nowhere"}, "there is no engine socket", "`"),
    "no context": ({"DOCKER_HOST": "", "DOCKER_CONTEXT": "nowhere"}, "no docker context 'nowhere'", "docker context ls"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_missing_engine_is_told_in_two_lines_that_fit_the_situation(
    plain_cli: Run, name: str, no_engine: str
) -> None:
    given, cause, hint = SURROUNDINGS[name]
    environment = {key: value.format(address=no_engine) for key, value in given.items()}
    begun = time.monotonic()
    done = plain_cli(*DRY_RUN, env=environment)
    assert done.returncode == 3 and time.monotonic() - begun < 30
    lines = done.stderr.splitlines()
    assert len(lines) == 2 and lines[0].startswith("error: ") and cause in lines[0], done.stderr
    assert lines[1].startswith("  hint: ") and hint in lines[1]


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        ("HTTPSConnectionPool: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "ca.pem"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "unset DOCKER_TLS_VERIFY"),
        ("Connection to 10.0.0.1 timed out. (connect timeout=60)", "the network to that host"),
    ],
)
def test_a_remote_engines_trouble_is_never_mended_on_this_machine(error: str, hint: str) -> None:
    for found in ("DOCKER_HOST", "docker context work"):
        fault = _unreachable(Address("tcp://10.0.0.1:2376", found, True, {}), OSError(error))
        assert hint in fault.hint and "systemctl" not in fault.hint and "apt-get" not in fault.hint


def test_a_runtime_folder_of_another_user_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(path: Path, **more: Any) -> os.stat_result:
        if str(path).startswith("/run/user/0/"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, **more)

    real = Path.stat
    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    found = list(addresses(Settings(docker_host="", xdg_runtime_dir="/run/user/0")))
    assert found and all("/run/user/0/" not in address.url for address in found)


@pytest.mark.parametrize(
    ("config", "cause"),
    [
        ("[]", "docker's own config.json does not have the form"),
        ('{"proxies": 5}', "docker's own config.json does not have the form"),
        ('{"currentContext": "elsewhere"}', "there is no docker context 'elsewhere'"),
    ],
)
def test_a_config_of_dockers_that_does_not_fit_is_told_as_that_and_not_as_the_engine(
    config: str, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(config)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    named = "" if "Context" in config else "tcp://127.0.0.1:1"
    with pytest.raises(EngineUnreachable, match=cause):
        find_engine(Settings(docker_host=named))


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """Makes a server that gives one answer to everything, with status 200; its host:port."""
    with contextlib.ExitStack() as stack:

        def serve(body: bytes) -> str:
            class Answer(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, format: str, *args: object) -> None: ...

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Answer))
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            stack.callback(server.shutdown)
            return f"127.0.0.1:{server.server_port}"

        yield serve


@pytest.mark.slow
@pytest.mark.parametrize("body", [HTML, *ODD, b'{"ApiVersion": "1.41"}'], ids=lambda body: body.decode()[:20])
def test_what_answers_and_is_no_engine_is_called_that(body: bytes, answering: Callable[[bytes], str]) -> None:
    with pytest.raises(EngineUnreachable, match="is not an engine, or something on the way") as fault:
        find_engine(Settings(docker_host=f"tcp://{answering(body)}", engine_timeout_s=5.0))
    assert "curl" in fault.value.hint and "DOCKER_HOST" in fault.value.hint


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("RUNNER_ENGINE_TIMEOUT_S", value) for value in ("0", "-1", "nan", "inf")),
        *(("RUNNER_TURN_S", value) for value in ("0", "nan", "inf")),
        ("RUNNER_RETRY_AFTER_MAX_S", "-1"),
        ("RUNNER_MAX_TOKENS", "0"),
        ("RUNNER_CONTEXT_TOKENS", "-1"),
    ],
)
def test_a_setting_that_nothing_can_work_with_is_told_by_its_name(in_process: Run, name: str, value: str) -> None:
    done = in_process(*DRY_RUN, env={name: value})
    assert done.returncode == 2 and f"error: {name}: " in done.stderr and f"unset {name}" in done.stderr


@pytest.mark.slow
def test_a_working_directory_that_was_removed_is_told(project: Path, home: str, tmp_path: Path) -> None:
    script = f'cd {tmp_path} && mkdir x && cd x && rmdir ../x && exec "$@"'
    environment = clean_environment(home, PYTHONPATH=str(project), DOCKER_HOST="unix:///nowhere/docker.sock")
    line = ["sh", "-c", script, "sh", sys.executable, "-m", "runner", "doctor"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[0] == "error: the working directory was removed"


# Homes


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without HOME and without an entry in the passwd file, as a container with `--user 12345` has."""

    def nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_is_told_to_set_one() -> None:
    assert home_folder() is None
    with pytest.raises(StoreFault) as fault:
        cache_folder()
    assert "no home folder" in fault.value.cause and "set HOME" in fault.value.hint


@pytest.mark.usefixtures("homeless")
def test_the_engine_is_looked_for_without_a_home_and_the_doctor_says_what_is_missing() -> None:
    assert list(addresses(Settings(docker_host="")))
    checks, _ = examine(Settings(docker_host="unix:///nowhere"))
    assert {check.name: check.mark for check in checks}["cache"] == "fault"


@pytest.mark.parametrize("kind", ["a file", "not to be made"])
def test_a_home_that_takes_no_cache_is_a_fault(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".cache").write_text("") if kind == "a file" else None
    monkeypatch.setenv("HOME", str(tmp_path) if kind == "a file" else "/proc/nowhere")
    with pytest.raises(StoreFault, match=r"runner cannot be made") as fault:
        cache_folder()
    assert "set HOME" in fault.value.hint


@pytest.mark.parametrize(("named", "expected"), [("caches", "caches/runner"), ("", ".cache/runner")])
def test_the_cache_is_where_the_standard_says(
    named: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / named) if named else "relative")
    assert cache_folder() == tmp_path / expected and (tmp_path / expected).is_dir()


def test_the_cache_of_a_mac_is_in_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "Library" / "Caches" / "runner"


@pytest.mark.slow
def test_without_a_home_the_program_says_so(plain_cli: Run) -> None:
    done = plain_cli("doctor", env={"HOME": "/proc/nowhere"})
    assert done.returncode == 3 and "✗ cache: /proc/nowhere/.cache/runner cannot be made" in done.stdout
    assert "Traceback" not in done.stderr


def test_certificates_that_are_missing_are_a_fault_and_no_stack_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/nowhere")
    with pytest.raises(EngineUnreachable, match="the certificates cannot be read"):
        list(addresses(Settings(docker_host="tcp://127.0.0.1:2376")))


@pytest.mark.slow
@pytest.mark.parametrize("size", ["0", "-5", "1", "\u00b2", "abc", "9" * 5000], ids=range(6))
@pytest.mark.parametrize("arguments", [("--help",), ("show", "tests/old_jobs/schema_1")], ids=["help", "show"])
def test_a_size_that_no_terminal_has_changes_nothing(plain_cli: Run, arguments: tuple[str, ...], size: str) -> None:
    usual = plain_cli(*arguments)
    odd = plain_cli(*arguments, env={"COLUMNS": size, "LINES": size, "TERMINAL_WIDTH": size})
    assert (odd.returncode, odd.stdout, odd.stderr) == (usual.returncode, usual.stdout, usual.stderr)
    assert usual.returncode == 0 and usual.stdout


def test_a_size_that_a_terminal_may_have_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    monkeypatch.setenv("LINES", "")
    drop_odd_sizes()
    assert (os.environ.get("COLUMNS"), os.environ.get("LINES")) == ("72", None)
