"""What keeps an endpoint from being asked is told at once, in one line, with what to do; over either SDK."""

import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runner.budget.clock import SystemClock
from runner.budget.ledger import Ledger, Meter
from runner.budget.limits import BudgetExceeded
from runner.faults import ModelFault, UsageFault
from runner.llm.client import AnthropicTransport
from runner.llm.endpoint_errors import lasting_failure
from runner.llm.failed_reads import failed_read
from runner.llm.messages import ModelRequest, ModelResponse
from runner.llm.model import AttemptProgress, ModelClient, RetryPolicy, TransientError, Transport
from runner.llm.openai_client import OpenAITransport
from runner.llm.prices import Prices
from runner.records.episode import Limit
from runner.settings import Settings
from tests.fakes.messages_server import MessagesServer, Stall, text

pytestmark = pytest.mark.slow  # waits for endpoints that do not answer

HELLO = ModelRequest("", [{"role": "user", "content": [{"type": "text", "text": "hello"}]}], [], 100)
MakeTransport = Callable[[str], Transport]
KEY = "sk-canary-0123456789"


def anthropic(url: str) -> Transport:
    return AnthropicTransport("m", api_key=KEY, auth_token="", base_url=url)


def openai(url: str) -> Transport:
    return OpenAITransport("m", api_key=KEY, base_url=f"{url}/v1")


def client_of(transport: Transport, turn_s: float = 60.0) -> ModelClient:
    return ModelClient(
        transport, Prices("m", unknown=True), Ledger(None), SystemClock(), lambda said: None, RetryPolicy(turn_s)
    )


@pytest.fixture
def web_page() -> Iterator[str]:
    """A server that answers everything with a page, as a login in a hotel does."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"<html>Please log in")

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def nobody() -> str:
    """A port at which nobody listens."""
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{once.getsockname()[1]}"


@pytest.mark.parametrize("make", [anthropic, openai])
@pytest.mark.parametrize(
    ("where", "cause", "hint"),
    [
        ("http://{nobody}", "{nobody}: connection refused", "start the endpoint"),
        ("http://no-such-host.invalid", "no-such-host.invalid: the host's name cannot be resolved", "DNS"),
        ("http://two..dots.invalid", "two..dots.invalid: the host's name cannot be resolved", "the name in --base-url"),
        ("https://{page}", "{page}: no TLS connection came about", "http:// in --base-url"),
        ("http://{page}", "{page}: a web page came in place of an answer", "correct --base-url"),
    ],
)
def test_what_cannot_pass_by_itself_is_told_at_once(
    make: MakeTransport, where: str, cause: str, hint: str, web_page: str, nobody: str
) -> None:
    names = {"nobody": nobody, "page": web_page.removeprefix("http://")}
    client = client_of(make(where.format(**names)))
    begun = time.monotonic()
    with pytest.raises(ModelFault, match="the model's endpoint cannot be asked") as fault:
        client.preflight()
    assert time.monotonic() - begun < 60
    assert cause.format(**names) in fault.value.cause and hint in fault.value.hint
    assert client.ledger.account.spent == 0 and KEY not in str(fault.value)


def test_an_endpoint_that_has_answered_may_be_away_for_a_while() -> None:
    with MessagesServer([[text("ready")]]) as server:
        client = client_of(anthropic(server.url), turn_s=1.5)
        client.respond(HELLO, Meter())
    with pytest.raises(ModelFault, match=r"no answer within 1\.5 s: 127\.0\.0\.1:\d+: connection refused"):
        client.respond(HELLO, Meter())


@pytest.mark.parametrize("make", [anthropic, openai])
@pytest.mark.parametrize(
    ("variable", "value", "cause", "hint"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "names a SOCKS proxy", "httpx[socks]"),
        ("HTTPS_PROXY", "socks5h://127.0.0.1:9", "names a SOCKS proxy", "unset ALL_PROXY"),
        ("ALL_PROXY", "gopher://127.0.0.1", "no client of the model's endpoint can be made", "HTTPS_PROXY"),
        (
            "SSL_CERT_FILE",
            "/nonexistent.pem",
            "SSL_CERT_FILE or SSL_CERT_DIR names cannot be read: No such file",
            "unset",
        ),
        ("SSL_CERT_FILE", "{not_pem}", "SSL_CERT_FILE or SSL_CERT_DIR names cannot be read", "unset"),
    ],
)
def test_what_the_environment_says_wrong_is_named(
    make: MakeTransport, variable: str, value: str, cause: str, hint: str, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, recwarn: pytest.WarningsRecorder, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "not.pem").write_text("no certificate")
    monkeypatch.setenv(variable, value.format(not_pem=tmp_path / "not.pem"))
    with pytest.raises(UsageFault) as fault:
        make("http://127.0.0.1:1")
    assert cause in fault.value.cause and hint in fault.value.hint
    assert not recwarn.list and capsys.readouterr().err == ""  # nothing half made complains when it is collected


CERTIFICATE = ssl.SSLCertVerificationError(1, "certificate verify failed")
CERTIFICATE.verify_message = "self-signed certificate"
TLS = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")


class ProxyError(Exception):
    """As the SDKs' transport calls it."""


@pytest.mark.parametrize(
    ("error", "what", "hint"),
    [
        (CERTIFICATE, "its certificate is not trusted (self-signed certificate)", "SSL_CERT_FILE"),
        (TLS, "no TLS connection came about", "http://"),
        (socket.gaierror(-2, "Name or service not known"), "the host's name cannot be resolved", "DNS"),
        (ConnectionRefusedError(), "connection refused", "start the endpoint"),
        (OSError(errno.ENETUNREACH, "x"), "the network is unreachable", "HTTPS_PROXY"),
        (OSError(errno.EHOSTUNREACH, "x"), "the network is unreachable", "HTTPS_PROXY"),
        (ProxyError("403"), "the proxy refused the connection", "NO_PROXY"),
        (UnicodeEncodeError("ascii", "ü", 0, 1, "x"), "the request cannot be put into HTTP", "check the key"),
        (ssl.SSLEOFError(8, "EOF"), "", ""),
        (ConnectionResetError(), "", ""),
        (TimeoutError(), "", ""),
        (KeyError("x"), "", ""),
    ],
)  # fmt: skip
def test_a_cause_is_found_however_deep_it_lies(error: Exception, what: str, hint: str) -> None:
    try:
        try:
            raise error
        except Exception as inner:
            raise RuntimeError("the transport's") from inner
    except RuntimeError as outer:
        found, do = lasting_failure(outer)
    assert (found.startswith(what) and bool(found) == bool(what)) and hint in do


def test_a_chain_that_holds_itself_has_an_end() -> None:
    one, two = RuntimeError(), RuntimeError()
    one.__cause__, two.__cause__ = two, one
    assert lasting_failure(one) == ("", "")


@pytest.mark.parametrize(("given", "key"), [("sk-1\n", "sk-1"), (" sk-1 ", "sk-1"), (" ", "")])
def test_a_credential_is_what_stands_between_the_blanks(given: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", given)
    settings = Settings()
    assert settings.anthropic_api_key.get_secret_value() == key and settings.has_credentials == bool(key)


def test_a_failure_after_status_200_is_never_one_of_reaching_it() -> None:
    error = failed_read(ConnectionRefusedError(), "host", has_begun=True)
    assert isinstance(error, TransientError) and not error.hint


# The episode's own time


def test_an_endpoint_that_hangs_until_the_episodes_time_is_up_is_no_failure_of_the_agents() -> None:
    with MessagesServer([[text("never " * 50)]], faults=[Stall(3600.0)] * 9) as server:
        begun = time.monotonic()
        with pytest.raises(ModelFault, match=r"no answer within 3 s"):
            client_of(anthropic(server.url)).respond(HELLO, Meter(), within_s=3.0)
        assert time.monotonic() - begun < 60


def test_an_answer_that_is_still_growing_when_the_episodes_time_is_up_ends_the_episode() -> None:
    class Grows(AnthropicTransport):
        def ask(self, request: ModelRequest, end_s: float, progress: AttemptProgress) -> ModelResponse:
            progress.has_begun = True
            for count in range(1, 1000):
                progress.add_content(count)
                time.sleep(0.05)
            raise AssertionError

    client = client_of(Grows("m", api_key=KEY, auth_token="", base_url="http://127.0.0.1:1"))
    with pytest.raises(BudgetExceeded) as ended:
        client.respond(HELLO, Meter(), within_s=0.5)
    assert ended.value.limit is Limit.WALL_CLOCK


@pytest.mark.parametrize("make", [anthropic, openai])
@pytest.mark.parametrize(
    ("base_url", "proxy"),
    [
        ("https://me:canary/of@host.invalid", ""),
        ("https://me:canary?of@host.invalid", ""),
        ("me:canary@host.invalid", ""),
        ("https://me:canary@[::1", ""),
        ("https://host.invalid", "http://me:canary/of@proxy.invalid:80"),
    ],
)
def test_no_part_of_a_password_in_an_address_is_in_the_message_that_it_is_no_url(
    make: MakeTransport, base_url: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    try:
        client_of(make(base_url)).preflight()
    except (UsageFault, ModelFault) as fault:
        assert "canary" not in str(fault)
    else:
        pytest.fail("it is no URL")
