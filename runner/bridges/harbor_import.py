"""A task of Harbor's as one of ours: its images are built, and its files are written into a folder of a task of kind tests.

What the agent's container holds is in one image, what tests its work in another; `runner/sandbox/image_foreign.py` says how
they are fitted to a sandbox whose only places to write are its workspace and /tmp.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from runner.bridges.harbor_dockerfile import base_images, beyond_builder, fetched, replacement, with_images
from runner.bridges.harbor_files import Tree, check_new, new_folder
from runner.bridges.harbor_task import IMAGE_NAME, WORKSPACE, HarborStep, HarborTask, NotOurs, Place, check_root
from runner.bridges.harbor_toml import inline_table, quoted
from runner.faults import ImageFault
from runner.job.setup import IMPORTED
from runner.sandbox.engine import Engine
from runner.sandbox.image import recipes_folder, resolve_image
from runner.sandbox.image_foreign import add_layer, build_foreign, has_image, inner_path, working_folder
from runner.sandbox.image_inputs import Say
from runner.sandbox.spec import MIB
from runner.settings import Settings
from runner.tasks.schema import SECONDS_MAX
from runner.tasks.task import Task, digest_of_folder, read_task

ARTIFACTS = "/logs/artifacts"  # always collected, as Harbor does
LOGS, SOLUTION = ".logs", ".solution"  # in the workspace, where /logs and /solution lead
WORKSPACE_SHARE, TMP_SHARE = 4, 8  # of the memory: a file system is memory, and something must be left to work with
SUBMISSION_BYTES_MAX, SUBMISSION_FILES_MAX = 8 * MIB, 1000  # chosen: what a frame holds with room to spare
AGENT_S = 1800.0  # chosen, as for tasks of ours, where the task does not say
SCRIPT = "exec /tests/test.sh"  # bash runs one without a first line, too


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a task.

    Attributes:
        notes: what is lost, a sentence each.
        images: references of those that were made.
    """

    task: Task
    notes: tuple[str, ...]
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Builder:
    """Where images are built, and from what in the place of others."""

    engine: Engine
    settings: Settings
    bases: Mapping[str, str]
    network: bool
    say: Say
    name: str

    def base(self, place: Place) -> str:
        """The reference of an image, before our layer.

        Raises:
            ImageFault: it cannot be had.
        """
        if place.image:
            return self._in_place_of(place.image)
        if (found := beyond_builder(place.dockerfile)) is not None:
            raise NotOurs(
                cause=f"a Dockerfile of the task needs BuildKit: {found}",
                hint="build the image yourself, and name it with --base FROM=IMAGE in the place of its docker_image",
            )
        if not self.network and (found := fetched(place.dockerfile)) is not None:
            raise NotOurs(
                cause=f"a Dockerfile of the task may have the engine fetch something: {found[:200]}",
                hint="put the file beside the Dockerfile, or let its images be built with a network: --build-network",
            )
        named = base_images(place.dockerfile)
        others = {image: self._in_place_of(image) for image in named}
        text = with_images(place.dockerfile, others)
        return build_foreign(
            self.engine, f"runner-harbor-{self.name}", text, list(others.values()), place.context, self.settings, self.say,
            network=self.network,
        )  # fmt: skip

    def _in_place_of(self, image: str) -> str:
        other = replacement(image, self.bases)
        if other is not None and (recipes_folder(self.settings) / other / "Dockerfile").is_file():
            return resolve_image(self.engine, other, self.settings, say=self.say).reference
        wanted = other or image
        if not IMAGE_NAME.fullmatch(wanted) or not has_image(self.engine, wanted):
            name = image.partition("@")[0][:200]
            raise ImageFault(
                cause=f"the engine has no image {wanted[:200]}, and could not pull it",
                hint=f"name another one in its place: --base '{name}=base' (a folder under images/, or any image with "
                "Python 3)",
            )
        return wanted

    def layer(self, base: str, roots: Sequence[str], links: Mapping[str, str], tests: Tree | None) -> str:
        return add_layer(self.engine, f"runner-harbor-{self.name}", base, roots, links, tests)


def import_task(
    engine: Engine, harbor: HarborTask, folder: Path, source: Path, bases: Mapping[str, str], settings: Settings, say: Say,
    *, network: bool,
) -> Imported:  # fmt: skip
    """Build a task's images, and write it into a new folder.

    Args:
        bases: image that a Dockerfile names -> a recipe of ours, or an image of the engine's, in its place.
        network: whether the commands of its Dockerfiles have one.

    Raises:
        NotOurs: it works where our sandboxes cannot be written.
        ImageFault: an image cannot be had or built.
        TaskFault: a file of it cannot be read, or what was written is no task.
        UsageFault: the folder is not empty, or cannot be written.
    """
    check_new(folder)
    source_digest = digest_of_folder(source)  # first: what cannot be read builds nothing
    builder = _Builder(engine, settings, bases, network, say, image_name(harbor.name))
    base = builder.base(harbor.environment)
    start = check_root(harbor.workdir or working_folder(engine, base), "its working folder")
    steps = [_collected(step, start) for step in harbor.steps]
    roots = outermost([start, *(root for one in steps for root in one.roots)])
    agents = builder.layer(base, roots, {"/logs": LOGS, "/solution": SOLUTION}, None)
    verifiers = [
        _verifier_image(builder, harbor, step, one, base, start) for step, one in zip(harbor.steps, steps, strict=True)
    ]
    record = {
        "format": "harbor", "schema_version": harbor.schema, "source": source.resolve().name,
        "source_sha256": source_digest, "bases": dict(bases), "build_network": network,
        "lost": list(harbor.notes),
    }  # fmt: skip
    with new_folder(folder):
        (folder / IMPORTED).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        _write(folder, harbor, start, agents, steps, verifiers)
        task = read_task(folder)
    images = tuple(dict.fromkeys([agents, *(image for image, _ in verifiers)]))
    return Imported(task, harbor.notes, images)


def image_name(name: str) -> str:
    """What an image of a task may be called: small letters, digits, and single strokes between them. Pure."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "task"


@dataclass(frozen=True, slots=True)
class _Collected:
    """What of a step is collected.

    Attributes:
        paths: in the workspace.
        roots: folders of the container that must lie in the workspace for it.
        merge: the work is put over what the tests' image has there.
    """

    paths: tuple[str, ...]
    roots: tuple[str, ...]
    merge: bool


def _collected(step: HarborStep, start: str) -> _Collected:
    """What is collected of a step, for its tests. Pure.

    Raises:
        NotOurs: an artifact lies where nothing can be written.
    """
    logs = f"{LOGS}/artifacts"
    if step.verifier is None:
        return _Collected((inner_path(start), logs), (start,), merge=False)
    paths, roots = [], []
    for artifact in step.artifacts:
        whole = str(PurePosixPath(start, artifact))
        if whole == ARTIFACTS or whole.startswith(f"{ARTIFACTS}/"):
            continue
        parent = str(PurePosixPath(whole).parent)
        # Whether it is a file or a folder is known once it is there: below its parent it can be either.
        root = start if _is_in(whole, start) else whole if parent == "/" else parent
        roots.append(check_root(root, f"the artifact {artifact}"))
        paths.append(inner_path(check_root(whole, f"the artifact {artifact}")))
    return _Collected((*outermost_paths(paths), logs), tuple(roots), merge=True)


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def outermost(roots: Sequence[str]) -> list[str]:
    """Those that lie in none of the others. Pure."""
    unique = list(dict.fromkeys(roots))
    return [one for one in unique if not any(other != one and _is_in(one, other) for other in unique)]


def outermost_paths(paths: Sequence[str]) -> list[str]:
    """The same of paths in the workspace, of which `.` is all. Pure."""
    return ["."] if "." in paths else outermost(paths)


def _verifier_image(
    builder: _Builder, harbor: HarborTask, step: HarborStep, collected: _Collected, base: str, start: str
) -> tuple[str, str]:
    """(image of the tests, folder in which their script runs)."""
    mine = base if step.verifier is None or step.verifier == harbor.environment else builder.base(step.verifier)
    own = step.workdir or (harbor.workdir if mine == base else "")
    where = own or working_folder(builder.engine, mine)
    roots = [*collected.roots, *([start] if mine == base else [])]
    if not _is_read_only(where):
        roots.append(check_root(where, "the working folder of its tests"))
    return builder.layer(mine, outermost(roots), {"/logs": LOGS}, step.tests), where


def _is_read_only(where: str) -> bool:
    """Whether tests begin in a folder that they only read: their own, or the root."""
    return where == "/" or _is_in(where, "/tests")


# Writing


def _write(
    folder: Path, harbor: HarborTask, start: str, image: str, collected: Sequence[_Collected],
    verifiers: Sequence[tuple[str, str]],
) -> None:  # fmt: skip
    """The files of the new task.

    Raises:
        OSError: they cannot be written.
    """
    (folder / "instruction.md").write_text(_instruction(harbor, start, collected), encoding="utf-8")
    for number, step in enumerate(harbor.steps):
        home = folder if len(harbor.steps) == 1 else folder / "steps" / step.name
        _write_tree(home / "solution", step.solution)
        _write_tree(home / "workdir", step.files)
        if number > 0:
            home.mkdir(parents=True, exist_ok=True)
            (home / "instruction.md").write_text(step.instruction, encoding="utf-8")
    (folder / "task.toml").write_text(_task_toml(harbor, start, image, collected, verifiers), encoding="utf-8")


def _write_tree(folder: Path, tree: Tree) -> None:
    for path, (content, executable) in tree.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o755 if executable else 0o644)


def _instruction(harbor: HarborTask, start: str, collected: Sequence[_Collected]) -> str:
    """The first step's words, and how work is done and submitted here. Pure."""
    inner = inner_path(start)
    lies = WORKSPACE if inner == "." else f"{WORKSPACE}/{inner}"
    taken = ", ".join("all of it" if path == "." else f"`{path}`" for path in collected[0].paths[:-1])
    lines = [
        f"The shell begins in `{start}`" + ("" if lies == start else f", which is `{lies}`") + ".",
        "The file tools take paths under `/workspace`; nothing else but `/tmp` can be written. There is no network.",
        f"When you are done, submit `.`; what is taken of the workspace is {taken or '`/logs/artifacts`'}.",
    ]
    if len(harbor.steps) > 1:
        lines.append(f"There are {len(harbor.steps)} steps: after each submission you are told what is asked for next.")
    return harbor.steps[0].instruction.rstrip() + "\n\n---\n\n" + "\n".join(lines) + "\n"


def _task_toml(
    harbor: HarborTask, start: str, image: str, collected: Sequence[_Collected], verifiers: Sequence[tuple[str, str]]
) -> str:
    """task.toml. Pure."""
    workspace = max(16 * MIB, harbor.memory_bytes // WORKSPACE_SHARE)
    seconds = min(harbor.agent_s or AGENT_S, SECONDS_MAX)
    lines = [
        "# Written by `runner import harbor`.", "[task]", f"name = {quoted(harbor.name)}", f"title = {quoted(harbor.title)}",
        "",
        "[image]", f"name = {quoted(image)}", f"env = {inline_table(harbor.env)}", "",
        "[workspace]", f"start = {quoted(start)}", "",
        "[submission]", 'file = "work.files"', "folder = true", f"max_bytes = {min(SUBMISSION_BYTES_MAX, workspace)}",
        f"max_files = {SUBMISSION_FILES_MAX}", "",
        "[call]", 'kind = "tests"', f"over_steps = {quoted(harbor.over_steps)}",
        f"solution_env = {inline_table(harbor.solution_env)}", "",
        "[scales.full]", "sizes = {}", "",
        "[quality]", 'name = "Reward"', "minimum = 1.0", "",
        "[limits]", f"memory = {harbor.memory_bytes}", f"cpus = {harbor.cpus:g}", "pids = 256", f"workspace = {workspace}",
        f"tmp = {harbor.memory_bytes // TMP_SHARE}", "",
        "[episode]", f"wall_s = {min(4 * seconds, SECONDS_MAX):g}", f"working_s = {seconds:g}", "",
    ]  # fmt: skip
    for step, what, (reference, where) in zip(harbor.steps, collected, verifiers, strict=True):
        lines += [
            "[[steps]]", f"name = {quoted(step.name)}", f"image = {quoted(reference)}",
            f"run = {json.dumps(['bash', '-c', SCRIPT])}", f"where = {quoted(where)}", f"env = {inline_table(step.env)}",
            f"wall_s = {step.wall_s:g}", f"collect = [{', '.join(map(quoted, what.paths))}]",
            f"merge = {str(what.merge).lower()}", f"minimums = {inline_table(step.minimums)}", "",
        ]  # fmt: skip
    return "\n".join(lines)
