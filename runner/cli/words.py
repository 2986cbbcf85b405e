"""Words that several commands print."""


def counted(number: int, noun: str) -> str:
    """A number of things, such as `1 run` or `2 runs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
