"""A task folder, validated: a typo is an error that names the file, the key and the nearest right one.

Models declare what task.toml may hold; one function turns whatever is wrong into a `TaskFault`. Nothing here knows
of labels, classes or networks: a task is arrays in, arrays out, and a problem.py that says how good they are.
"""

import ast
import difflib
import errno
import hashlib
import math
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError

from runner.faults import TaskFault, UsageFault
from runner.records.bundle import pack_files
from runner.tasks.kinds import CALL_KEYS, NEEDED, UNUSED, Kind
from runner.tasks.schema import AnswerSection, ArraySection, ScaleSection, StepSection, TaskFile
from runner.tasks.toml_faults import explain, read_toml

READ_BYTES = 1024 * 1024  # chosen: larger is no faster
FILE_HEAD_BYTES_MAX = 1100  # of a file among several: its line of numbers, and its path (`inside/bundle.py`)
REFERENCE = "docs/reference/task-toml.md"


class Array(NamedTuple):
    """An array as declared, its shape in numbers.

    Attributes:
        low, high: the inclusive range of every value; None for any finite one.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the raw array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class Task:
    """A validated task folder.

    Attributes:
        folder: its absolute path.
        file: task.toml, validated.
        digest: sha256 over every file of the folder, hex.
    """

    def __init__(self, folder: Path, file: TaskFile) -> None:
        self.folder = folder
        self.file = file
        self.digest = digest_of_folder(folder)

    @property
    def name(self) -> str:
        """The task's name."""
        return self.file.task.name

    @property
    def kind(self) -> Kind:
        """What is called."""
        return self.file.call.kind

    @property
    def is_measured(self) -> bool:
        """Whether a grading takes times, and so needs the measuring CPU for itself."""
        return self.kind not in ("answer", "tests")

    def repetitions(self, scale: str) -> int:
        """How many gradings of a file must agree where no time decides; 0 where rounds beside a baseline do."""
        if self.kind == "program" and self.target(scale) is None:
            return self.file.grading.repetitions
        return 0 if self.is_measured else 1

    def scale(self, name: str) -> ScaleSection:
        """A scale by name.

        Raises:
            TaskFault: there is none of that name.
        """
        if name not in self.file.scales:
            raise TaskFault(
                cause=f"task {self.name} has no scale {name!r}",
                hint=f"choose one of: {', '.join(self.file.scales)}",
            )
        return self.file.scales[name]

    def target(self, scale: str) -> float | None:
        """The speed-up asked for at a scale, baseline time over candidate time; None where quality alone counts."""
        return self.scale(scale).target or self.file.target.speedup

    def tolerance(self, scale: str) -> float | None:
        """How far below the baseline the quality may lie at a scale; None where a minimum is set instead."""
        if self.file.quality.tolerance is None:
            return None
        at_scale = self.scale(scale).tolerance
        return self.file.quality.tolerance if at_scale is None else at_scale

    def data_sets(self, scale: str) -> int:
        """On how many data sets a submission must have been seen at a scale before it passes."""
        return self.scale(scale).data_sets or self.file.grading.data_sets

    def input_arrays(self, scale: str) -> tuple[Array, ...]:
        """What goes into a container, in the order of task.toml; (n_calls, ...) where a sample has several calls."""
        return self._of_all_calls(self.input_of_call(scale))

    def answer_arrays(self, scale: str) -> tuple[Array, ...]:
        """What must come out of a container, in the order of task.toml; (n_calls, ...) where a sample has several calls."""
        return self._of_all_calls(self.answer_of_call(scale))

    def answer_of_call(self, scale: str) -> tuple[Array, ...]:
        """What one call must return."""
        return self._arrays(self.file.answer, scale)

    def input_of_call(self, scale: str) -> tuple[Array, ...]:
        """What one call gets."""
        return self._arrays(self.file.inputs, scale)

    def _of_all_calls(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        count = self.file.call.repeat
        return arrays if count == 1 else tuple(array._replace(shape=(count, *array.shape)) for array in arrays)

    def shape(self, entries: list[int | str], scale: str) -> tuple[int, ...]:
        """A declared shape, with the sizes of a scale in place of their names."""
        sizes = self.scale(scale).sizes
        return tuple(entry if isinstance(entry, int) else sizes[entry] for entry in entries)

    def _arrays(self, sections: Mapping[str, ArraySection], scale: str) -> tuple[Array, ...]:
        ranges = {
            name: (section.low, section.high)
            for name, section in sections.items()
            if isinstance(section, AnswerSection)
        }
        return tuple(
            Array(name, section.dtype, self.shape(section.shape, scale), *ranges.get(name, (None, None)))
            for name, section in sections.items()
        )

    @property
    def has_baseline(self) -> bool:
        """Whether there is a file to compare with, or to begin with."""
        return self.kind == "python" or "baseline" in self.file.call.model_fields_set

    @property
    def baseline(self) -> bytes:
        """The baseline's source, as a submission is; empty where the task has none."""
        return submission_at(self.folder / self.file.call.baseline) or b""

    @property
    def oracle(self) -> bytes | None:
        """The solution's source, if the folder has one; that of a task of kind tests is a script, which an agent runs."""
        return None if self.kind == "tests" else submission_at(self.folder / "solution" / self.file.submission.file)

    def preloads(self, imports: Collection[str] | None) -> tuple[str, ...]:
        """Modules that are imported before the clock starts, for a file whose text imports these.

        What the baseline may need is among them for every file, so that no file's process is smaller than the baseline's.
        Packages are not split: what one of its modules imports later, on the clock, is often another of them.

        Args:
            imports: names of modules; of the baseline's none are needed. None where they are not known: all are imported.
        """
        if imports is None:
            return (*self.file.imports.modules, *self.file.imports.preload)
        packages = {_package(name) for name in (*imports, *imported_modules(self.baseline))}
        listed = [name for name in self.file.imports.modules if _package(name) in packages]
        return (*listed, *self.file.imports.preload)

    @property
    def steps(self) -> tuple[StepSection, ...]:
        """The steps of a task of kind tests, at least one; none of others."""
        return tuple(self.file.steps)

    @property
    def submission_bytes_max(self) -> int:
        """The most bytes of a submission as it is kept: a folder's files have names, and there may be several steps."""
        section = self.file.submission
        names = section.max_files * FILE_HEAD_BYTES_MAX if section.folder else 0
        return (section.max_bytes + names) * max(1, len(self.steps))

    def folder_of_step(self, number: int) -> Path:
        """What belongs to a step, from 0: the task's folder where there is but one, else its own under steps/."""
        return self.folder if len(self.steps) == 1 else self.folder / "steps" / self.steps[number].name

    def instruction(self, scale: str) -> str:
        """What the agent is asked to do: instruction.md with the figures of a scale and the lists of [imports]."""
        target, tolerance = self.target(scale), self.tolerance(scale)
        text = (self.folder / "instruction.md").read_text(encoding="utf-8-sig")
        if self.kind == "tests":  # somebody else's, in which a name in braces is none of ours
            return text
        bar = tolerance if tolerance is not None else self.file.quality.minimum
        text = text.replace("{target}", f"{target}").replace("{tolerance}", f"{bar}")
        text = text.replace("{repeat}", f"{self.file.call.repeat}")
        imports = self.file.imports
        return text.replace("{modules}", _in_code(imports.modules)).replace("{forbidden}", _in_code(imports.forbidden))


def check_is_python(task: Task, what: str) -> None:
    """Refuse what is there for functions alone.

    Raises:
        UsageFault: the task's submissions are something else.
    """
    if task.kind != "python":
        raise UsageFault(
            cause=f"{what} is for tasks of kind python, {task.name} is of kind {task.kind}",
            hint="grade its files instead",
        )


def smallest_scale(task: Task) -> str:
    """`small` where a task has such a scale, else its first: what is tried without need of the full one."""
    return "small" if "small" in task.file.scales else next(iter(task.file.scales))


def submission_at(path: Path) -> bytes | None:
    """A file's bytes, or a folder's as one run of bytes; None where there is neither."""
    if path.is_file():
        return path.read_bytes()
    return pack_files((name, content, is_run) for name, content, is_run in files_below(path)) if path.is_dir() else None


def files_below(path: Path) -> Iterator[tuple[str, bytes, bool]]:
    """(path in the folder, content, whether it may be executed) of each regular file; links and caches are left out."""
    for file in sorted(path.rglob("*")):
        if file.is_file() and not file.is_symlink() and "__pycache__" not in file.parts:
            yield file.relative_to(path).as_posix(), file.read_bytes(), bool(file.stat().st_mode & 0o100)


def _in_code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def imported_modules(source: bytes) -> tuple[str, ...]:
    """The modules that the text of a file imports.

    Args:
        source: of our own or the task's; what comes out of a sandbox is parsed in one (`runner/sandbox/inside/checker.py`).

    Raises:
        TaskFault: it is not Python.
    """
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError) as error:
        raise TaskFault(cause=f"the baseline or the solution is not Python: {error}", hint="fix the file") from error
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return (*plain, *(node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)))


def _package(module: str) -> str:
    return module.partition(".")[0]


def digest_of_folder(folder: Path) -> str:
    """sha256 over names and contents of all files below a folder, hex.

    Raises:
        TaskFault: one cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            with path.open("rb") as file:  # in parts: a task may hold gigabytes
                size = os.fstat(file.fileno()).st_size
                # A name is any bytes.
                digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode("utf-8", "surrogateescape"))
                while part := file.read(READ_BYTES):
                    digest.update(part)
    except OSError as error:
        raise TaskFault(
            cause=f"{error.filename or folder} cannot be read: {error.strerror}",
            hint="let all files of the task's folder be read",
        ) from error
    return digest.hexdigest()


def find_task(name_or_path: str, tasks: Path) -> Task:
    """The task of that name in the folder `tasks`, or the task whose folder that is.

    Raises:
        TaskFault: there is none, or it is broken.
    """
    try:
        for folder in (tasks / name_or_path, Path(name_or_path)):
            if (folder / "task.toml").is_file():
                return read_task(folder.absolute())  # an agent of the user's own may change the working directory
        is_folder = Path(name_or_path).is_dir()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise TaskFault(
                cause=f"{name_or_path[:40]}... is too long for a path", hint="name a shorter one"
            ) from error
        raise TaskFault(
            cause=f"{name_or_path} cannot be looked at: {error.strerror}", hint="name a task's folder that may be read"
        ) from error
    if is_folder:
        raise TaskFault(cause=f"{name_or_path or 'this folder'} holds no task.toml", hint=f"add one; see {REFERENCE}")
    known = sorted(path.parent.name for path in tasks.glob("*/task.toml"))
    near = difflib.get_close_matches(name_or_path, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise TaskFault(cause=f"there is no task {name_or_path!r}", hint=f"{hint}known tasks: {', '.join(known) or 'none'}")


def read_task(folder: Path) -> Task:
    """The task of a folder.

    Raises:
        TaskFault: a file is missing, or task.toml is broken.
    """
    if faults := faults_of_folder(folder):
        raise faults[0]
    return Task(folder.resolve(), TaskFile.model_validate(read_toml(folder / "task.toml", REFERENCE)[1]))


def faults_of_folder(folder: Path) -> list[TaskFault]:
    """What is wrong with a folder's task.toml and with what it names, the most telling first; nothing: it is a task."""
    path = folder / "task.toml"
    try:
        text, raw = read_toml(path, REFERENCE)
    except TaskFault as fault:
        return [fault]
    try:
        file = TaskFile.model_validate(raw)
    except ValidationError as error:
        return explain(path, text, raw, error, TaskFile, REFERENCE)
    faults = []
    for check in (_check_kind, _check_files, _check_unread, _check_sizes, _check_names, _check_instruction):
        try:
            check(folder, file)
        except TaskFault as fault:
            faults.append(fault)
            if check in (_check_kind, _check_files):  # the others rest on them
                break
    return faults


def _check_kind(folder: Path, file: TaskFile) -> None:
    """Check that what the kind of call needs is there, and nothing that it has no use for."""
    path, kind = folder / "task.toml", file.call.kind
    needed, more = CALL_KEYS[kind]
    for name in sorted(file.call.model_fields_set - {"kind", *needed, *more}):
        raise TaskFault(
            cause=f"{path}: call.{name} means nothing for kind {kind!r}",
            hint=f"remove it; known keys: kind, {', '.join((*needed, *more))}",
        )
    for key in (*(f"call.{name}" for name in needed), *NEEDED[kind]):
        if not _is_given(file, key) or _value(file, key) in ("", [], {}):
            how = "empty" if _is_given(file, key) else "missing"
            raise TaskFault(
                cause=f"{path}: {key} is {how}: tasks of kind {kind!r} need it", hint=f"add it; see {REFERENCE}"
            )
    for key in UNUSED[kind]:
        if _is_given(file, key):
            raise TaskFault(cause=f"{path}: {key} means nothing for tasks of kind {kind!r}", hint="remove it")
    if kind == "answer" and (wrong := _misfit_of_form(file)) is not None:
        raise TaskFault(cause=f"{path}: {wrong}", hint=f"change call.form or [answer]; see {REFERENCE}")
    timed = file.target.speedup is not None or any(scale.target is not None for scale in file.scales.values())
    if kind == "program" and timed and not _is_given(file, "call.baseline"):
        raise TaskFault(
            cause=f"{path}: there is a target.speedup and no call.baseline", hint="name what is compared with"
        )
    if kind == "tests" and (found := _misfit_of_steps(file)) is not None:
        raise TaskFault(cause=f"{path}: {found}", hint=f"change [[steps]]; see {REFERENCE}")
    if kind not in ("program", "tests") and (file.submission.folder or _is_given(file, "submission.max_files")):
        raise TaskFault(
            cause=f"{path}: a folder is submitted by tasks of kind 'program' and 'tests' alone", hint="ask for one file"
        )


def _check_unread(folder: Path, file: TaskFile) -> None:
    """Refuse a key that nothing reads beside what else the file says: it would be a wish that is silently not heard."""
    for key, why, hint in _unread(file):
        raise TaskFault(cause=f"{folder / 'task.toml'}: {key} means nothing {why}", hint=hint)


def _unread(file: TaskFile) -> Iterator[tuple[str, str, str]]:
    """(key, beside what it is not read, what to do) of each such key."""
    kind, scales = file.call.kind, file.scales.items()
    if "tolerance" in file.call.model_fields_set and file.call.compare != "numbers":
        hint = 'set call.compare = "numbers", or remove it'
        yield "call.tolerance", f"where call.compare is {file.call.compare!r}", hint
    if "max_files" in file.submission.model_fields_set and not file.submission.folder:
        yield "submission.max_files", "where one file is submitted", "set submission.folder = true, or remove it"
    for name, scale in scales:
        if scale.tolerance is not None and file.quality.tolerance is None:
            hint = "set quality.tolerance, or remove it"
            yield f"scales.{name}.tolerance", "beside quality.minimum, which holds at every scale", hint
        if scale.target is not None and "target.speedup" in UNUSED[kind]:
            yield f"scales.{name}.target", f"for tasks of kind {kind!r}", "remove it"
    timed = file.target.speedup is not None or all(scale.target is not None for _, scale in scales)
    if "repetitions" in file.grading.model_fields_set and (kind != "program" or timed):
        yield "grading.repetitions", "where something else than a program without a speed target is graded", "remove it"


def _is_given(file: TaskFile, key: str) -> bool:
    """Whether a table or a key of one is written in the file."""
    table, _, name = key.partition(".")
    section = getattr(file, table)
    return table in file.model_fields_set and (not name or name in section.model_fields_set)


def _value(file: TaskFile, key: str) -> object:
    """What a table or a key of one holds."""
    table, _, name = key.partition(".")
    section = getattr(file, table)
    return getattr(section, name) if name else section


def _misfit_of_form(file: TaskFile) -> str | None:
    """Why the arrays of an answer cannot be written in the form that is asked for; None: they can."""
    shapes = [section.shape for section in file.answer.values()]
    if file.call.form == "text":
        return "a text has no arrays: [answer] is not read" if shapes else None
    if not shapes:
        return "there is no [answer]: it declares what the file holds"
    if file.call.form == "csv" and any(len(shape) != 1 or shape != shapes[0] for shape in shapes):
        return 'the columns of a csv have one length, as in shape = ["rows"]'
    return None


def _misfit_of_steps(file: TaskFile) -> str | None:
    """What is wrong with the steps of a task of kind tests; None: nothing."""
    names = [step.name for step in file.steps]
    if not names:
        return "there is no [[steps]]: it says what tests the work"
    if repeated := [name for name in names if names.count(name) > 1]:
        return f"two steps are called {repeated[0]}"
    if not file.submission.folder:
        return "the work is a folder: set submission.folder = true"
    return None


def _check_files(folder: Path, file: TaskFile) -> None:
    has_baseline = file.call.kind == "python" or "baseline" in file.call.model_fields_set
    needed = ["instruction.md", *([file.call.baseline] if has_baseline else [])]
    if file.call.kind == "tests":
        later = file.steps[1:]  # the first one's is the task's own
        needed += [f"steps/{step.name}/instruction.md" for step in later]
    else:
        needed.insert(1, "problem.py")
    for name in needed:
        if not (folder / name).is_file() and not (
            file.submission.folder and name == file.call.baseline and (folder / name).is_dir()
        ):
            what = "is not a file" if os.path.lexists(folder / name) else "is missing"
            raise TaskFault(
                cause=f"{folder / name} {what}", hint=f"add the file: every task needs one; see {REFERENCE}"
            )
    # One that is not named may be missing: an agent may find nothing but the data, and git keeps no empty folder.
    if "folder" in file.workspace.model_fields_set and not (folder / file.workspace.folder).is_dir():
        raise TaskFault(
            cause=f"{folder / file.workspace.folder} is missing",
            hint="create the folder, with what the agent finds in its workspace",
        )
    _check_workspace(folder, file.workspace.folder)


def _check_workspace(folder: Path, name: str) -> None:
    """Check that what the agent finds is a part of the task's folder: all of it would hold problem.py and the solution."""
    whole, part = (
        Path(os.path.realpath(path)) for path in (folder, folder / name)
    )  # a link to itself is no error here
    if part == whole or whole not in part.parents or whole / "solution" in (part, *part.parents):
        raise TaskFault(
            cause=f"{folder / 'task.toml'}: workspace.folder = {name!r} is not a folder of the agent's own in the task's",
            hint="name one such as workspace, in which problem.py and the solution do not lie, and which is no link out",
        )
    for top, folders, names in os.walk(part):
        for path in (Path(top, name) for name in (*folders, *names)):
            if path.is_symlink() and part not in Path(os.path.realpath(path)).parents:
                raise TaskFault(
                    cause=f"{path} is a link out of what the agent finds", hint="put a copy there, or take it away"
                )


def _check_sizes(folder: Path, file: TaskFile) -> None:
    """Check that every scale has every size that a shape names, and that the file systems fit the memory."""
    path = folder / "task.toml"
    shapes = [section.shape for section in (*file.inputs.values(), *file.answer.values())]
    for component in file.components.values():
        for probe in component.probes:
            shapes += [array.shape for array in probe.inputs] + [array.shape for array in probe.outputs]
            shapes += probe.parameter_shapes
    made_by = [section.made_by for section in file.answer.values() if section.made_by is not None]
    arguments = [probe.init for component in file.components.values() for probe in component.probes]
    arguments += [section.init for section in made_by]
    names = {entry for shape in shapes for entry in shape if isinstance(entry, str)}
    names |= {entry for given in arguments for entry in given if isinstance(entry, str)}
    for scale, section in file.scales.items():
        missing = sorted(names - set(section.sizes))
        if missing:
            raise TaskFault(
                cause=f"{path}: scales.{scale}.sizes lacks {', '.join(missing)}",
                hint="add the size: a shape, or an argument of a component, names it",
            )
    limits = file.limits
    if limits.workspace + limits.tmp > limits.memory // 2:
        raise TaskFault(
            cause=f"{path}: limits.workspace + limits.tmp is more than half of limits.memory",
            hint="files in them count as memory: lower them, or raise limits.memory",
        )


def _check_made_by(path: Path, file: TaskFile) -> None:
    """Check that what makes an array of the answer, and what it is made of, is there."""
    for name, section in file.answer.items():
        made_by = section.made_by
        if made_by is None:
            continue
        if file.call.repeat > 1:
            raise TaskFault(
                cause=f"{path}: answer.{name}.made_by in a task whose call.repeat is {file.call.repeat}",
                hint="an array that a component makes can be made again for one call alone: leave one of the two out",
            )
        if not section.shape:
            raise TaskFault(
                cause=f"{path}: answer.{name}.made_by makes one number, which has no items to compare",
                hint="give the array an axis of items, or leave made_by out",
            )
        component = file.components.get(made_by.component)
        if component is None or made_by.method not in component.methods:
            raise TaskFault(
                cause=f"{path}: answer.{name}.made_by names {made_by.component}.{made_by.method}",
                hint="name a component of [components], and one of its methods",
            )
        if unknown := sorted({*made_by.inputs, *made_by.earlier} - set(file.inputs)):
            raise TaskFault(
                cause=f"{path}: answer.{name}.made_by gets {', '.join(unknown)}", hint="name arrays of [inputs]"
            )


def _check_probes(path: Path, file: TaskFile) -> None:
    """Check that a probe calls what its component must have: else the baseline would fail it, when work is graded."""
    for name, component in file.components.items():
        for probe in component.probes:
            if probe.method not in component.methods:
                near = difflib.get_close_matches(probe.method, component.methods, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise TaskFault(
                    cause=f"{path}: a probe of components.{name} calls {probe.method}, which is none of its methods",
                    hint=f"{hint}name one of its methods ({', '.join(component.methods)}), or list it there",
                )


def _check_imports(path: Path, file: TaskFile) -> None:
    """Check that no module is both meant for the submission and forbidden."""
    for module in file.imports.modules:
        for name in file.imports.forbidden:
            if f"{module}.".startswith(f"{name}."):
                raise TaskFault(
                    cause=f"{path}: imports.modules lists {module}, and imports.forbidden {name}",
                    hint="take it out of one of them",
                )


def _check_names(folder: Path, file: TaskFile) -> None:
    path = folder / "task.toml"
    _check_made_by(path, file)
    _check_probes(path, file)
    _check_imports(path, file)
    sample = file.workspace.sample
    if sample is not None and sample.scale not in file.scales:
        raise TaskFault(
            cause=f"{path}: workspace.sample.scale = {sample.scale!r} is not a scale",
            hint=f"choose one of: {', '.join(file.scales)}",
        )
    if (
        file.quality.minimum is None
        and file.target.speedup is None
        and not any(scale.target for scale in file.scales.values())
    ):
        raise TaskFault(
            cause=f"{path}: there is neither a target.speedup nor a quality.minimum",
            hint="add one of them: what the agent must reach",
        )


def _check_instruction(folder: Path, file: TaskFile) -> None:
    """Check that it can be read, and that nothing is forbidden that the agent is not told of."""
    path, forbidden = folder / "instruction.md", file.imports.forbidden
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TaskFault(cause=f"{path} is not UTF-8: byte {error.start} is wrong", hint="write it in UTF-8") from error
    except OSError as error:
        raise TaskFault(
            cause=f"{path} cannot be read: {error.strerror}", hint="it says what the agent is asked"
        ) from error
    if forbidden and "{forbidden}" not in text:
        raise TaskFault(
            cause=f"{path} does not say what imports.forbidden lists: {', '.join(forbidden)}",
            hint="write {forbidden} where the list is to stand",
        )
