"""The image's files in the kernel's memory before anything is measured.

The kernel keeps their pages once, for all containers of the host, and charges them to the container that needed them first.
Sandboxes can neither drop them nor ask for them (`sandbox/inside/refuse.py`), and may lose those alone that are charged to
themselves, where their memory is short. So a container of our own needs them first, with more memory than a sample has;
no file runs in it.
"""

from dataclasses import replace

from runner.faults import InfrastructureFault
from runner.grading.context import GradingContext
from runner.grading.sample import SETUP_DEADLINE_S
from runner.sandbox.container import GuestExit
from runner.sandbox.spec import MIB

# Share of the engine's memory that pages of the image may fill; past it, the first ones go again. chosen: the kernel takes
# such pages back where anything else needs the memory, and the shipped images have 0.3 and 1.4 GB.
IMAGE_SHARE_MAX = 0.5


def read_image(context: GradingContext) -> int:
    """Read every file of the image that a sample may read; how many bytes they have.

    Raises:
        InfrastructureFault: the container did not start, or did not end with it.
        Interrupted: we are stopping.
    """
    whole_bytes = int(IMAGE_SHARE_MAX * context.memory_bytes) // MIB * MIB  # the kernel counts in pages
    memory_bytes = max(context.spec.memory_bytes, whole_bytes)
    spec = replace(context.spec, memory_bytes=memory_bytes)
    with context.fleet.open(spec, "reader", role="check", cpuset=context.warmup_cpus) as sandbox:
        reply = sandbox.ask({"op": "read"}, deadline_s=SETUP_DEADLINE_S)
    if isinstance(reply, GuestExit):
        raise InfrastructureFault(
            cause=f"the image's files could not be read before a measurement: {reply.detail}",
            hint="look at the engine's storage, and run `python -m runner doctor`",
        )
    return int(reply.frame.head["bytes"])
