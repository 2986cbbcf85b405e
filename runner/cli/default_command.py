"""The main job is what runs where a command line names no command."""

from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

MAIN_COMMAND = "run"
# Flags of the program itself: in front of any command, and without one.
OF_THE_PROGRAM = ("-h", "--help", "--version", "--install-completion", "--show-completion")


class DefaultGroup(TyperGroup):
    """A program whose main command's name may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The same, with the main command's name in front where it was left out."""
        completing = bool(ctx.resilient_parsing)
        return list(super().parse_args(ctx, args if completing else with_command(args)))


def with_command(arguments: Sequence[str]) -> list[str]:
    """A command line that names its command: one that begins with a flag of the main job, or is empty, is the main job's."""
    first = arguments[0] if arguments else ""
    names_one = bool(first) and (not first.startswith("-") or first.partition("=")[0] in OF_THE_PROGRAM)
    return list(arguments) if names_one else [MAIN_COMMAND, *arguments]
