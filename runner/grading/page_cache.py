"""The image's files in the kernel's memory before anything is measured.

The kernel keeps their pages once, for all containers of the host, and charges them to the container that needed them first.
Sandboxes can neither drop them nor ask for them (`sandbox/inside/refuse.py`), and may lose those alone that are charged to
themselves, where their memory is short. So a container of our own needs them first, with more memory than a sample has;
no file runs in it. Before a grading, what of it is run must be what it was when it was built (`sandbox/pins.py`).
"""

from dataclasses import replace

from runner.grading.context import GradingContext
from runner.grading.sample import SETUP_DEADLINE_S
from runner.sandbox.pins import Manifest, check_pins, read_image_files
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
    return _read(context, hashed=False)[0]


def check_image(context: GradingContext) -> None:
    """Compare the image's programs and libraries, as a sample would read them now, with what they held when it was built.

    Raises:
        SandboxMismatch: one holds something else. InfrastructureFault: they could not be read.
        Interrupted: we are stopping.
    """
    check_pins(context.spec.image_id, _read(context, hashed=True)[1])


def _read(context: GradingContext, *, hashed: bool) -> tuple[int, Manifest]:
    whole_bytes = int(IMAGE_SHARE_MAX * context.memory_bytes) // MIB * MIB  # the kernel counts in pages
    spec = replace(context.spec, memory_bytes=max(context.spec.memory_bytes, whole_bytes))
    return read_image_files(context.fleet, spec, context.warmup_cpus, SETUP_DEADLINE_S, hashed=hashed)
