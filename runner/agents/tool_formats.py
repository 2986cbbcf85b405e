"""How the tools are shown to a model: our own schemas, or the vendor's types that it was trained with. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Style = Literal["schema", "native"]
EDITOR = "str_replace_based_edit_tool"
NATIVE = (
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": EDITOR},
)
EDITS = ("view", "create", "str_replace", "insert")


@dataclass(frozen=True, slots=True)
class Toolkit:
    """What a model may call, and what it means here.

    Attributes:
        shown: as the request lists them.
    """

    style: Style
    shown: tuple[Mapping[str, Any], ...]

    def call(self, name: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """(our tool, its input) of a call by the name that the model uses; what it made up stays as it is."""
        if self.style == "native" and name == EDITOR and given.get("command") in EDITS:
            rest = {key: value for key, value in given.items() if key != "command"}
            if given["command"] == "insert" and "new_str" in rest:  # as the tool's older type had it
                rest["insert_text"] = rest.pop("new_str")
            return str(given["command"]), rest
        return name, dict(given)


def toolkit(style: Style, schemas: Sequence[Mapping[str, Any]]) -> Toolkit:
    """The tools in one of the two ways; `submit` has no native type."""
    if style == "schema":
        return Toolkit(style, tuple(schemas))
    return Toolkit(style, (*NATIVE, *(schema for schema in schemas if schema["name"] == "submit")))
