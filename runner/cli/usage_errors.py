"""What is wrong with a command line, in one sentence: the flag, the value that was given, and what it must be."""

from typing import Any

from pydantic import ValidationError

# pydantic's kinds of errors; {ge} and {le} are the bounds.
_WORDS = {
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "string_unicode": "is not UTF-8",
    "bool_parsing": "is neither true nor false",
}


def usage_message(error: Any) -> str:
    """The sentence for an error that typer raised for a command line."""
    cause, param = error.__cause__, getattr(error, "param", None)
    if param is None or not error.message:
        return str(error.format_message())
    if not isinstance(cause, ValidationError):
        return f"{_name(param)}: {error.message}"
    wrong = cause.errors(include_url=False)[0]
    return f"{_name(param)} {wrong['input']}: {_what_it_must_be(wrong)}"


def _name(param: Any) -> str:
    """The long name of a flag, or the metavar of an argument."""
    flags = [name for name in param.opts if name.startswith("--")]
    return flags[0] if flags else str(param.metavar or param.name)


def _what_it_must_be(wrong: Any) -> str:
    context = wrong.get("ctx", {})
    if "error" in context:  # a choice: the sentence names all of them
        return str(context["error"]).rstrip(".")
    words = _WORDS.get(wrong["type"])
    return words.format(**context) if words else str(wrong["msg"])
