"""What an image's programs and libraries must hold: pinned when it was built, compared before each grading.

Containers of one host share the pages of their image's files. A fresh one is made of the same pages that an earlier guest
may have changed through a hole of the kernel, while no file was written and the image's id says that all is well. So they
are hashed inside, as a sample would read them, against what was read right after the build. An image that was not built
here is pinned at its first use.
"""

import hashlib
from pathlib import Path

from runner.faults import SandboxLost, SandboxMismatch
from runner.sandbox.container import GuestExit
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import SandboxSpec
from runner.settings import cache_folder, write_cached

FORM = 2  # of a manifest, which says what kinds of files are in it: one of another form compares with nothing
SHOWN = 3  # chosen: enough to see what kind of files they are
Manifest = tuple[str, ...]


def read_image_files(
    fleet: Fleet, spec: SandboxSpec, cpuset: str, deadline_s: float, *, hashed: bool
) -> tuple[int, Manifest]:
    """(bytes, a line of digest and name for each program and library) of what a sandbox on this image reads.

    Args:
        hashed: whether the lines are wanted, too: seconds more.

    Raises:
        SandboxLost: the container did not come to its end; InfrastructureFault: it did not start.
        Interrupted: we are stopping.
    """
    with fleet.open(spec, "reader", role="check", cpuset=cpuset) as sandbox:
        reply = sandbox.ask({"op": "read", "hash": hashed}, deadline_s=deadline_s)
    if isinstance(reply, GuestExit):
        raise SandboxLost(
            cause=f"the image's files could not be read: {reply.detail}",
            hint="look at the engine's storage, and run `python -m runner doctor`",
        )
    lines = reply.frame.body.decode("ascii", "replace").split("\n")
    return int(reply.frame.head["bytes"]), tuple(lines)


def check_pins(image_id: str, found: Manifest) -> None:
    """Compare with what is pinned; pins where nothing is.

    Raises:
        SandboxMismatch: a file holds something else now; names some.
        StoreFault: the folder of the caches cannot be made.
    """
    path = _path(image_id)
    if not path.exists():
        pin(image_id, found)
        return
    pinned = tuple(path.read_text(encoding="ascii", errors="replace").split("\n"))
    if pinned == found:
        return
    changed = sorted({line.partition(" ")[2] for line in set(pinned) ^ set(found)})
    raise SandboxMismatch(
        cause=f"{len(changed)} files of the image are not what they were when it was pinned: {', '.join(changed[:SHOWN])}",
        hint="do not trust this host until it was restarted with an up-to-date kernel: a guest may have changed pages that "
        f"all containers share; if the image itself was changed on purpose, remove {path}",
    )


def pin(image_id: str, found: Manifest) -> None:
    """Keep what an image's files hold now.

    Raises:
        StoreFault: it cannot be kept.
    """
    write_cached(_path(image_id), "\n".join(found).encode("ascii"))


def _path(image_id: str) -> Path:
    return cache_folder() / "pins" / hashlib.sha256(f"{image_id} {FORM}".encode()).hexdigest()[:32]
