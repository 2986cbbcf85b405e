"""A body of JSON that came out of a sandbox, or from an endpoint on its way into one: bounded, then parsed. Pure."""

from typing import Any

from runner.records.untrusted_json import InvalidJson, check_size, parse_object

# Chosen: a parsed value takes some hundred bytes of memory, whatever it took as text, so this bounds a body to some tens of
# MB; a conversation of a thousand turns has about 30,000 values.
VALUES_MAX = 200_000


class InvalidBody(Exception):
    """The body is not a JSON object that may be read here.

    Attributes:
        too_large: because of the number of its values.
    """

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


def parse_body(content: bytes) -> dict[str, Any]:
    """The object of a body.

    Raises:
        InvalidBody: it is not one, holds too many values, or is nested too deep.
    """
    try:
        check_size(content, values_max=VALUES_MAX)
        return parse_object(content)
    except InvalidJson as error:
        raise InvalidBody(f"the body: {error}", too_large=error.too_large) from error
