"""What a transport raises where no answer came, for either SDK: whether another attempt makes sense, and else a hint."""

from runner.llm.endpoint_errors import WEB_PAGE, WEB_PAGE_HINT, describe_failed_read, is_web_page, lasting_failure
from runner.llm.model import TransientError


def failed_read(error: BaseException, address: str, *, has_begun: bool) -> TransientError:
    """The failure of a connection, or of what came over it.

    Args:
        address: the endpoint's host and port.
        has_begun: status 200 was seen.
    """
    what, hint = ("", "") if has_begun else lasting_failure(error)
    if hint:
        return TransientError(f"{address}: {what}", hint=hint)
    return TransientError(describe_failed_read(error, has_begun=has_begun))


def check_content_type(content_type: str, address: str) -> None:
    """
    Raises:
        TransientError: what came with status 200 is no answer of a model's endpoint.
    """
    if is_web_page(content_type):
        raise TransientError(f"{address}: {WEB_PAGE}", hint=WEB_PAGE_HINT)
