"""The main job is what runs where a command line names no command."""

from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

from runner.faults import UsageFault

MAIN_COMMAND = "run"
# Flags of the program itself: in front of any command, and without one.
OF_THE_PROGRAM = ("-h", "--help", "--version", "--install-completion", "--show-completion")
# Flags whose empty value says something: none of what a variable or the record says.
MAY_BE_EMPTY = ("--runtime", "--allow-unenforced", "--base-url", "--replay-ignore")


class DefaultGroup(TyperGroup):
    """A program whose main command's name may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The same, with the main command's name in front where it was left out.

        Raises:
            UsageFault: something on the command line is empty.
        """
        if ctx.resilient_parsing:  # completing a line that is not whole yet
            return list(super().parse_args(ctx, args))
        refuse_empty(args)
        return list(super().parse_args(ctx, with_command(args)))


def refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse an empty argument: nearly always a variable of the shell that is not set.

    Taken as a path it would be the working directory, and taken as a flag that is not there, the default: another job,
    another agent, another engine than the one that was meant.

    Raises:
        UsageFault: there is one, with the flag that it belongs to.
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        name, equals, value = argument.partition("=")
        if not argument and before not in MAY_BE_EMPTY:
            where = before if before.startswith("-") else "an argument"
        elif name.startswith("--") and equals and not value and name not in MAY_BE_EMPTY and before != "--command":
            where = name
        else:
            continue
        raise UsageFault(cause=f"{where} is empty", hint="give it a value, or leave it out")


def with_command(arguments: Sequence[str]) -> list[str]:
    """A command line that names its command: one that begins with a flag of the main job, or is empty, is the main job's."""
    first = arguments[0] if arguments else ""
    names_one = bool(first) and (not first.startswith("-") or first.partition("=")[0] in OF_THE_PROGRAM)
    return list(arguments) if names_one else [MAIN_COMMAND, *arguments]
