"""One question to a model, one answer: the only place that knows the vendor's SDK.

The answer is streamed, so that a turn has a deadline of its own (the SDK's timeout is a gap between bytes), and so that a
stream that was cut is seen (it ends without a stop reason and without an error). tenacity is the one retry policy; the
SDK's own is off.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import tenacity

from runner.faults import Interrupted, ModelFault
from runner.llm.prices import Usage
from runner.settings import Settings

if TYPE_CHECKING:
    import anthropic

RETRIED = frozenset([408, 409, 429, 500, 502, 503, 504, 529])
GAP_S = 120.0
RETRY_AFTER_MAX_S = 120.0
MENDS = {
    400: "look at the request in the transcript",
    401: "set a valid ANTHROPIC_API_KEY",
    403: "see what this key may use",
    404: "see that --model names a model of this endpoint, and that ANTHROPIC_BASE_URL is right",
    413: "the conversation is too large for one request",
    429: "wait, or raise the account's limits",
    529: "the API is overloaded: try again later",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer.

    Attributes:
        content: its blocks, as they have to be sent back.
        stop_reason: why it ended, in the API's words.
    """

    content: tuple[Mapping[str, Any], ...]
    stop_reason: str
    usage: Usage


class _Transient(Exception):
    """Worth another try; `after_s` is what the server asked for."""

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.after_s = after_s


class ModelClient:
    """Talks to one endpoint for all episodes of a job."""

    def __init__(
        self, settings: Settings, model: str, max_tokens: int, turn_s: float, say: Callable[[str], None]
    ) -> None:
        import anthropic  # takes seconds: only where a model is asked

        self._api = anthropic
        self._client = anthropic.Anthropic(
            api_key=settings.anthropic_api_key.get_secret_value() or None,
            auth_token=settings.anthropic_auth_token.get_secret_value() or None,
            base_url=settings.anthropic_base_url or None,
            max_retries=0,
            timeout=GAP_S,
        )
        self.model, self.max_tokens, self.turn_s = model, max_tokens, turn_s
        self._say = say
        self._closed = threading.Event()

    def close(self) -> None:
        """Give up whatever is under way: it ends with `Interrupted`."""
        self._closed.set()
        self._client.close()

    def reply(self, system: str, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Reply:
        """The model's next answer, asked for again while trying again makes sense and the turn has time.

        Raises:
            ModelFault: the endpoint gave no answer; says what it said.
            Interrupted: we are stopping.
        """
        end = time.monotonic() + self.turn_s
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Transient),
            wait=_wait,
            stop=tenacity.stop_after_delay(self.turn_s),
            sleep=self._sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return retry(self._ask, system, messages, tools, end)
        except _Transient as error:
            raise ModelFault(
                cause=f"the model's endpoint gave no answer within {self.turn_s:g} s: {error}",
                mend="try again later, or with fewer --jobs",
            ) from None

    def _ask(
        self, system: str, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], end: float
    ) -> Reply:
        if self._closed.is_set():
            raise Interrupted
        api = self._api
        try:
            with self._client.messages.stream(
                model=self.model,
                max_tokens=self.max_tokens,
                system=system,
                messages=messages,  # type: ignore[arg-type]
                tools=tools,  # type: ignore[arg-type]
            ) as stream:
                for _ in stream:
                    if time.monotonic() > end or self._closed.is_set():
                        break
                message = stream.current_message_snapshot
        except api.APIStatusError as error:
            self._judge(error)
        except Exception as error:  # boundary: while a stream is read, the SDK lets its transport's errors through
            if self._closed.is_set():
                raise Interrupted from None
            raise _Transient(f"the connection failed ({type(error).__name__})") from None
        if self._closed.is_set():
            raise Interrupted
        if message.stop_reason is None:
            raise _Transient("the answer was cut off")
        return _reply(message)

    def _judge(self, error: "anthropic.APIStatusError") -> NoReturn:
        """A fault that another try may mend, or one that it cannot; a mid-stream error has status 200 and a body."""
        kind = error.body.get("error", {}).get("type", "") if isinstance(error.body, dict) else ""
        text = f"HTTP {error.status_code} {kind}".strip()
        if error.status_code in RETRIED or error.status_code == 200:
            raise _Transient(text, _retry_after(error.response.headers.get("retry-after", ""))) from None
        raise ModelFault(
            cause=f"the model's endpoint refused the request: {text}: {str(error.message)[:300]}",
            mend=MENDS.get(error.status_code, "see the vendor's list of errors"),
        ) from None

    def _sleep(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise Interrupted

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        self._say(f"the model's endpoint: {error}; trying again")


def _wait(state: tenacity.RetryCallState) -> float:
    """Exponential with full jitter (1 to 60 s), or as long as the server asked for, up to a cap."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked_s = error.after_s if isinstance(error, _Transient) else 0.0
    return max(min(asked_s, RETRY_AFTER_MAX_S), tenacity.wait_random_exponential(multiplier=1, max=60)(state))


def _retry_after(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0


def _reply(message: Any) -> Reply:
    usage = message.usage
    return Reply(
        content=tuple(block.model_dump(mode="json", exclude_none=True) for block in message.content),
        stop_reason=str(message.stop_reason),
        usage=Usage(
            usage.input_tokens,
            usage.cache_creation_input_tokens or 0,
            usage.cache_read_input_tokens or 0,
            usage.output_tokens,
        ),
    )
