"""Images of other people's tasks: built from a Dockerfile of theirs, and with a layer of ours that fits them to our sandbox.

Our sandbox's root is read-only, and everything that can be written is in its workspace. So the layer turns each folder in
which a task works into a link into the workspace, and keeps what the folder held under `PRISTINE`, from where it is copied
when a sandbox begins. Tests are put into a layer of their own, on an image that no agent is given.
"""

import hashlib
import io
import shlex
import tarfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import docker
import requests

from runner.faults import ImageFault
from runner.sandbox.dockerignore import without_ignored
from runner.sandbox.engine import ODD_ANSWER, Engine, engine_errors
from runner.sandbox.image import LAST_LINES, build_steps, check_python, find_image
from runner.sandbox.image_inputs import Say, proxies_of, without_credentials
from runner.settings import Settings

# path -> (content, whether it may be executed)
Tree = Mapping[str, tuple[bytes, bool]]
LINE_MAX = 500  # chosen: of a build's words in a message
PRISTINE = "/.runner/workspace"  # as in runner/sandbox/inside/collected.py


def build_foreign(
    engine: Engine, name: str, dockerfile: str, bases: Sequence[str], context: Tree, settings: Settings, say: Say, *,
    network: bool,
) -> str:  # fmt: skip
    """The reference of the image that a Dockerfile makes; one that is there already is not built again.

    Args:
        name: of the image, without its tag.
        dockerfile: its text.
        bases: the images that it names, all of which the engine has.
        context: the files beside it.
        network: whether its commands have one.

    Raises:
        ImageFault: it cannot be built, or a proxy's password would be seen by its commands.
        TaskFault: its list of what is left out is too long.
    """
    arguments = _open_proxies(settings) if network else {}
    for base in bases:
        _check_triggers(engine, base)
    files = {**without_ignored(context), "Dockerfile": (dockerfile.encode(), False)}
    reference = f"{name}:{_digest([str(network), *(find_image(engine, base).id for base in bases)], files)}"
    if not _is_there(engine, reference):
        say(f"building image {reference}")
        _build(engine, reference, files, arguments, network=network)
    return reference


def _open_proxies(settings: Settings) -> dict[str, str]:
    """What commands that somebody else wrote may see of the proxies: all of it, or the user is asked to change it.

    Raises:
        ImageFault: an address holds a user or a password.
    """
    given = {name: value for name, value in proxies_of(settings).items() if value}
    for name, value in given.items():
        if "@" in value:
            raise ImageFault(
                cause=f"the address in {name} holds a user or a password, which a stranger's Dockerfile would see",
                hint="name a proxy that needs none for this import",
            )
    return given


def _check_triggers(engine: Engine, reference: str) -> None:
    """Refuse an image with commands that wait until another one is built on it: an ADD among them may fetch anything.

    Raises:
        ImageFault: it has some.
    """
    if waiting := _config(engine, reference).get("OnBuild"):
        raise ImageFault(
            cause=f"image {reference} runs commands wherever an image is built on it (ONBUILD): {str(waiting[0])[:200]}",
            hint="name another one in its place with --base",
        )


def add_layer(
    engine: Engine, name: str, base: str, roots: Sequence[str], links: Mapping[str, str], tests: Tree | None
) -> str:
    """The reference of an image on another one, fitted to our sandbox.

    Args:
        roots: folders that are in the workspace, by their absolute paths, none in another one.
        links: path of the image -> where in the workspace it leads, for what holds nothing at first.
        tests: files for /tests; None: what the image has there stays.

    Raises:
        ImageFault: it cannot be built, it declares volumes or ONBUILD, or it has no Python.
    """
    _check_triggers(engine, base)
    files: dict[str, tuple[bytes, bool]] = {f"tests/{path}": entry for path, entry in (tests or {}).items()}
    files["layer.sh"] = (_layer(roots, links).encode(), False)
    base_id = find_image(engine, base).id
    lines = [f"FROM {base_id}", "USER root", "WORKDIR /", "COPY layer.sh /.runner/layer.sh"]
    lines += ["COPY tests /tests"] if tests is not None else []
    files["Dockerfile"] = ("\n".join([*lines, "RUN sh /.runner/layer.sh", ""]).encode(), False)
    reference = f"{name}:{_digest([base_id], files)}"
    if not _is_there(engine, reference):
        _build(engine, reference, files, {}, network=False)
    image = find_image(engine, reference)
    check_python(engine, image)
    return reference


def working_folder(engine: Engine, reference: str) -> str:
    """The folder in which an image's programs begin."""
    return str(_config(engine, reference).get("WorkingDir") or "/")


def _config(engine: Engine, reference: str) -> Mapping[str, Any]:
    """What an image says of the containers that are made of it."""
    with engine_errors(f"inspecting image {reference}"):
        return dict(engine.client.images.get(reference).attrs.get("Config") or {})


def has_image(engine: Engine, reference: str) -> bool:
    """Whether the engine has an image, or has just pulled it."""
    if _is_there(engine, reference):
        return True
    name, _, digest = reference.partition("@")
    repository, colon, tag = name.rpartition(":") if "/" not in name.rpartition(":")[2] else (name, "", "")
    try:
        engine.client.images.pull(repository if colon else name, tag=digest or tag or "latest")
    except (docker.errors.DockerException, requests.RequestException, OSError, *ODD_ANSWER):
        return False
    return _is_there(engine, reference)


def _layer(roots: Sequence[str], links: Mapping[str, str]) -> str:
    """A script, run by root while the image is built."""
    lines = ["set -eu", f"mkdir -p {PRISTINE}"]
    for root in roots:
        path, kept = shlex.quote(root), shlex.quote(f"{PRISTINE}/{inner_path(root)}")
        lines += [
            f"mkdir -p {kept}",
            f"if [ -d {path} ]; then cp -a {path}/. {kept}/; fi",
        ]
        if root != "/workspace" and not root.startswith("/workspace/"):
            lines += [
                f"rm -rf {path}",
                f"mkdir -p {shlex.quote(str(PurePosixPath(root).parent))}",
                f"ln -s /workspace/{shlex.quote(inner_path(root))} {path}",
            ]
    for path, leads in links.items():
        lines += [f"rm -rf {shlex.quote(path)}", f"ln -s /workspace/{shlex.quote(leads)} {shlex.quote(path)}"]
    for root in roots:
        steps = root.strip("/").split("/")[:-1]
        above = ["/" + "/".join(steps[: end + 1]) for end in range(len(steps))]
        lines += [f"chmod a+x {shlex.quote(folder)}" for folder in above]
    lines += [f"chmod -R a+rX {PRISTINE}", "mkdir -p /workspace"]
    # As Harbor does, for scripts that came without the mode.
    lines.append("if [ -f /tests/test.sh ]; then chmod -R a+rX /tests; chmod a+x /tests/test.sh; fi")
    return "\n".join([*lines, ""])


def inner_path(root: str) -> str:
    """Where in the workspace a folder of the container lies."""
    if root == "/workspace":
        return "."
    return root.removeprefix("/workspace/").strip("/")


def _is_there(engine: Engine, reference: str) -> bool:
    with engine_errors(f"looking for image {reference}"):
        try:
            engine.client.images.get(reference)
        except (docker.errors.ImageNotFound, docker.errors.NullResource):
            return False
        except docker.errors.APIError as error:  # a name that no image can have
            if error.status_code is not None and error.status_code < 500:
                return False
            raise
    return True


def _digest(words: Sequence[str], files: Tree) -> str:
    digest = hashlib.sha256("\0".join(words).encode())
    for path, (content, executable) in sorted(files.items()):
        digest.update(f"\0{path}\0{executable}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def _build(engine: Engine, reference: str, files: Tree, arguments: Mapping[str, str], *, network: bool) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, (content, executable) in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755 if executable else 0o644
            tar.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    lines: deque[str] = deque(maxlen=LAST_LINES)  # a stranger's commands may print without end
    for step in build_steps(
        engine,
        reference,
        fileobj=packed,
        custom_context=True,
        buildargs=dict(arguments),
        network_mode=None if network else "none",
        use_config_proxy=False,  # Docker's own settings may name a proxy with a password
    ):
        lines += map(_short, step.lines)
        if step.error is not None:
            last = "\n    ".join([*lines, _short(step.error)])
            hint = "fix the Dockerfile"
            hint += "" if network else "; if its commands need a network, import with --build-network"
            raise ImageFault(cause=f"image {reference} cannot be built; its build ended with\n    {last}", hint=hint)


def _short(line: str) -> str:
    """The beginning of a line that a build said; a password is taken out before it could be cut in two."""
    return without_credentials(line)[:LINE_MAX]
