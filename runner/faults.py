"""Faults: what went wrong on our side, or the host's; never what a submission did.

    Fault                     anything of ours: says what happened, and what to do now
    ├── UsageFault            the command line, a task folder or a setting is wrong          exit 2
    │   └── TaskFault         a task folder does not hold what it must
    ├── InfrastructureFault   engine, host or API                                            exit 3
    │   ├── EngineUnreachable nothing answers where an engine should be
    │   ├── EngineFault       the engine answered with an error, or not in time
    │   ├── ImageFault        an image cannot be found or built
    │   ├── SandboxDrift      the engine enforces something other than what was asked for
    │   ├── SandboxLost       a container ended, or its stream broke, for no reason of the guest's
    │   │   └── WorkspaceFault a workspace did not take what belongs into it
    │   ├── ModelFault        the model's endpoint gave no answer
    │   │   └── ModelRefused  it refuses this key, model or address: every next question, too
    │   └── StoreFault        results cannot be written
    └── Interrupted           the user asked us to stop                                      exit 130

A guest's failure is a *value* (see `runner.records`), since observing it is what we are here for. A fault is an
*exception*: it interrupts us. The two never meet in one `except`. This module imports nothing of the package.
"""


class Fault(Exception):
    """What happened and what to do about it; both are required, so that no fault is raised without deciding them.

    Attributes:
        cause: one sentence, no final full stop needed: what was seen, and where.
        hint: one sentence: what the reader does now.
    """

    exit_status = 3

    def __init__(self, *, cause: str, hint: str) -> None:
        texts = self.cause, self.hint = _text(cause), _text(hint)
        super().__init__(*texts)

    def __str__(self) -> str:
        return f"{self.cause} ({self.hint})"

    def __reduce__(self) -> tuple[object, ...]:
        """For copies and other processes; an exception is made again from its arguments in order, and these have none."""
        return _made_again, (type(self), self.cause, self.hint), self.__dict__


def _text(value: object) -> str:
    """What agents of others raise may have an exception in a text's place; records and reports need the text."""
    try:
        return str(value)
    except Exception as error:  # boundary: an object of anybody's
        return f"{type(value).__name__}, which cannot be read: {type(error).__name__}"


def _made_again(kind: type[Fault], cause: str, hint: str) -> Fault:
    return kind.__new__(kind, cause, hint)


class UsageFault(Fault):
    """The command line, a task folder or a setting is wrong; nothing was started."""

    exit_status = 2


class TaskFault(UsageFault):
    """A task folder does not hold what it must."""


class InfrastructureFault(Fault):
    """Engine, host or API: never scored as the agent's failure."""

    exit_status = 3


class EngineUnreachable(InfrastructureFault):
    """Nothing answers where an engine should be."""


class EngineFault(InfrastructureFault):
    """The engine answered with an error, or did not answer in time."""


class ImageFault(InfrastructureFault):
    """A sandbox image cannot be found or built."""


class SandboxMismatch(InfrastructureFault):
    """The engine enforces something other than what the spec asked for."""


class SandboxLost(InfrastructureFault):
    """A container ended, or its stream broke, for no reason that the guest gave."""


class SandboxWoke(SandboxLost):
    """A container ran while it had to stand still, and was ended: it does so once."""


class WorkspaceFault(SandboxLost):
    """A workspace did not take what belongs into it: the task's doing at first, later on that of whoever worked in it."""


class ModelFault(InfrastructureFault):
    """The model's endpoint gave no answer, or refused."""


class ModelRefused(ModelFault):
    """The endpoint refuses this key, model or address: it would refuse every next question of the job, too."""


class StoreFault(InfrastructureFault):
    """Results cannot be written (disk full, permissions, another holder of the folder)."""


class Interrupted(Fault):
    """The user asked us to stop."""

    exit_status = 130

    def __init__(self) -> None:
        super().__init__(cause="interrupted", hint="what was finished is kept")
