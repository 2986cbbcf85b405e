"""What an endpoint's errors mean, whichever SDK tells them. Pure."""

import errno
import re
import socket
import ssl
from collections.abc import Iterator

from runner.faults import UsageFault
from runner.llm.credentials import mask, without_port

# Chosen: two lines of a terminal; an endpoint's own message is mostly one sentence.
MESSAGE_CHARS_MAX = 300
# As Anthropic, OpenAI, vLLM and llama.cpp say that a conversation is longer than the model takes.
CONTEXT_WORDS = re.compile(
    r"too long|context length|available context size|exceed\w*\b.{0,60}\bcontext (?:limit|window|size)"
    r"|context (?:limit|window|size).{0,60}\bexceed",
    re.IGNORECASE,
)
# What reading an answer raises where the answer is at fault, and not the connection.
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def retry_after_s(header: str) -> float:
    """Seconds of a `retry-after` header; 0.0 where it is absent, a date, or not a number."""
    try:
        return max(0.0, float(header))
    except ValueError:
        return 0.0


def shorten(message: str, *secrets: str | None) -> str:
    """An endpoint's message, without the credentials and cut to `MESSAGE_CHARS_MAX`."""
    return mask(message, secrets)[:MESSAGE_CHARS_MAX]


def describe_failed_read(error: BaseException, *, has_begun: bool) -> str:
    """Why there is no answer: what arrived is malformed, or the connection failed.

    Args:
        has_begun: status 200 was seen.
    """
    if has_begun and isinstance(error, MALFORMED):
        return "the answer is malformed"
    return f"the connection failed ({type(error).__name__})"


# What keeps a connection from coming about


def _is_no_name(error: BaseException) -> bool:
    """Whether a host's name could not even be written as one (two dots in a row, a part that is too long)."""
    return isinstance(error, UnicodeError) and "idna" in str(error)


def lasting_failure(error: BaseException) -> tuple[str, str]:
    """(what failed, what to do), for what another attempt does not fix; empty: it may.

    An endpoint that has answered before may fail so for a while: whoever asks decides.
    """
    for each in _chain(error):
        if isinstance(each, socket.gaierror) or _is_no_name(each):
            return (
                "the host's name cannot be resolved",
                "check the name in --base-url, this host's DNS, and the name in HTTPS_PROXY where one is set",
            )
        match each:
            case ssl.SSLCertVerificationError():
                what = f"its certificate is not trusted ({getattr(each, 'verify_message', 'unverified')})"
                return what, "name the file of its authority as SSL_CERT_FILE, or correct --base-url"
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError():  # a connection that was cut
                return "", ""
            case ssl.SSLError():
                what = f"no TLS connection came about ({getattr(each, 'reason', None) or type(each).__name__})"
                return what, "write http:// in --base-url if the endpoint has no TLS; check its port"
            case ConnectionRefusedError():
                return (
                    "connection refused",
                    "start the endpoint, or correct --base-url; a proxy that is set must run, too",
                )
            case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH):
                return "the network is unreachable", "check this host's network, and HTTPS_PROXY where one is needed"
        if type(each).__name__ == "ProxyError":
            return "the proxy refused the connection", "check HTTPS_PROXY and HTTP_PROXY, or name the host in NO_PROXY"
        if isinstance(each, UnicodeEncodeError) or type(each).__name__ == "LocalProtocolError":
            return "the request cannot be put into HTTP", "check the key: it holds a character that a header cannot"
    return "", ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it came from, each once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


WEB_PAGE = "a web page came in place of an answer"
WEB_PAGE_HINT = "correct --base-url; a network that asks for a login answers so, too"


def is_web_page(content_type: str) -> bool:
    """Whether what came with status 200 is for a browser."""
    return content_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")


def unusable_surroundings(error: Exception) -> UsageFault:
    """Why no client of an SDK could be made: what the environment says of proxies and certificates, mostly."""
    text = str(error)
    if "socks" in text.lower():
        return UsageFault(
            cause="the environment names a SOCKS proxy, which needs the package socksio",
            hint="pip install 'httpx[socks]', or unset ALL_PROXY, HTTP_PROXY and HTTPS_PROXY",
        )
    if isinstance(error, OSError):
        why = error.strerror or "not valid"
        return UsageFault(
            cause=f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read: {why}",
            hint="name a file that is there, or unset both",
        )
    return UsageFault(
        cause=f"no client of the model's endpoint can be made: {shorten(without_port(text))}",
        hint="check --base-url, and ALL_PROXY, HTTP_PROXY and HTTPS_PROXY",
    )
