"""The endpoint behind the gateway: a request goes out with the key, its answer comes back as it is."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from pydantic import SecretStr

from runner.gateway.policy import UpstreamRequest
from runner.llm.backoff import Backoff
from runner.llm.credentials import MASK, mask
from runner.llm.endpoint_errors import retry_after_s
from runner.sandbox.canaries import SECRET_CHARS_MIN

VENDOR = "https://api.anthropic.com"
# Chosen: a TCP handshake of 20 s has been retransmitted four times; an answer that is not streamed comes whole, after
# minutes.
CONNECT_S, GAP_S = 20.0, 600.0
CHUNK_BYTES = 64 * 1024  # of the answer, as it is read: sender.PIECE_BYTES
RATE_LIMITED = frozenset([429, 529])
# Chosen, of an answer other than 200: an error is a few hundred bytes.
ERROR_BYTES_MAX = 64 * 1024
PASSED_BACK = ("content-type", "request-id", "retry-after", "x-should-retry")


class UpstreamError(Exception):
    """There is no answer, or it broke off; the text holds no address and no secret."""


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """An answer that has response.

    Attributes:
        headers: those that the program may see.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    content_type: str
    request_id: str
    _response: requests.Response = field(repr=False)

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes.

        Raises:
            UpstreamError: it broke off.
        """
        try:
            while chunk := self._response.raw.read1(CHUNK_BYTES, decode_content=True):
                yield chunk
        except Exception as error:  # boundary: whatever a connection that breaks off, or is shut here, may raise
            raise UpstreamError(f"the answer broke off ({type(error).__name__})") from None

    def shut_down(self) -> None:
        """Break it off, under the feet of the thread that reads it."""
        with contextlib.suppress(Exception):  # boundary: it is being closed, whatever it says
            self._response.raw.shutdown()


@dataclass
class Endpoint:
    """One endpoint with its key, for all gateways of a job.

    Attributes:
        limiter: the pause that all episodes take where the endpoint has no room.
        retry_after_max_s: the longest pause, in seconds, that the endpoint may ask for.
    """

    model: str
    base_url: str
    limiter: Backoff
    api_key: SecretStr
    auth_token: SecretStr
    retry_after_max_s: float = 120.0
    _session: requests.Session = field(default_factory=requests.Session, repr=False)

    def __post_init__(self) -> None:
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.auth = lambda request: request  # else credentials of a .netrc would be added

    @contextlib.contextmanager
    def ask(self, request: UpstreamRequest) -> Iterator[UpstreamResponse]:
        """Send a request; the answer, from its headers on.

        Raises:
            UpstreamError: there is no answer.
        """
        try:
            response = self._session.request(
                request.method,
                (self.base_url or VENDOR).rstrip("/") + request.path,
                headers=self._headers(request),
                data=request.content,
                timeout=(CONNECT_S, GAP_S),
                stream=True,
                allow_redirects=False,
            )
        except (requests.RequestException, OSError) as error:
            raise UpstreamError(f"the endpoint cannot be reached ({type(error).__name__})") from None
        with response:
            if (
                request.costs
            ):  # what counts tokens or lists models has limits of its own, and says nothing about this one
                self._limit(response)
            headers = {name: self.masked(response.headers.get(name, "")) for name in PASSED_BACK}
            yield UpstreamResponse(
                response.status_code,
                tuple((name, value) for name, value in headers.items() if value),
                headers["content-type"],
                headers["request-id"],
                response,
            )

    def answer_of(self, response: UpstreamResponse) -> Iterator[bytes]:
        """The body of an answer as it comes, without the credentials: proxies repeat them in errors that they stream, too.

        Only what no honest answer holds is looked for: a short key may be a word.

        Raises:
            UpstreamError: it broke off.
        """
        secrets = [secret.encode() for secret in self._secrets() if len(secret) >= SECRET_CHARS_MIN]
        held = b""
        for chunk in response.chunks():
            held += chunk
            for secret in secrets:
                held = held.replace(secret, MASK.encode())
            ready = len(held) - max((_begun(secret, held) for secret in secrets), default=0)
            if ready:
                yield held[:ready]
            held = held[ready:]
        if held:
            yield held

    def error_of(self, response: UpstreamResponse) -> bytes:
        """The body of an answer that is an error, cut, without the credentials: some repeat them.

        Raises:
            UpstreamError: it broke off.
        """
        body = bytearray()
        for chunk in response.chunks():
            body += chunk
            if len(body) > ERROR_BYTES_MAX:
                response.shut_down()
                break
        is_cut = len(body) > ERROR_BYTES_MAX
        masked = self.masked(bytes(body[:ERROR_BYTES_MAX]).decode("utf-8", "replace")).encode()
        # What was cut may end in the beginning of a secret.
        return masked[: -max((len(secret) for secret in self._secrets()), default=0) or None] if is_cut else masked

    def masked(self, text: str) -> str:
        """A text of the endpoint's without the credentials."""
        return mask(text, self._secrets())

    def _secrets(self) -> list[str]:
        return [secret for key in (self.api_key, self.auth_token) if (secret := key.get_secret_value())]

    def _headers(self, request: UpstreamRequest) -> dict[str, str]:
        key: dict[str, str] = {}
        if self.api_key.get_secret_value():
            key = {"x-api-key": self.api_key.get_secret_value()}
        elif self.auth_token.get_secret_value():
            key = {"authorization": f"Bearer {self.auth_token.get_secret_value()}"}
        own: dict[str, Any] = {
            "accept-encoding": "identity",
            "user-agent": "runner",
            "content-type": "application/json",
        }
        return {**request.headers, **own, **key}

    def _limit(self, response: requests.Response) -> None:
        if response.status_code in RATE_LIMITED:
            asked_s = retry_after_s(response.headers.get("retry-after", ""))
            self.limiter.on_rate_limited(min(asked_s, self.retry_after_max_s))
        elif response.ok:
            self.limiter.on_success()


def _begun(secret: bytes, text: bytes) -> int:
    """How many bytes at the end of a text are the beginning of a secret."""
    return next((size for size in range(min(len(secret), len(text)), 0, -1) if text.endswith(secret[:size])), 0)
