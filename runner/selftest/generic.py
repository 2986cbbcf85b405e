"""Attacks that fit any task whose call is a Python function: what a task's check tries on it.

They are the corpus's families with nothing of a certain task in them. A cheat that plays with the clock or keeps answers
does the baseline's work besides, so it is one only where there is a speed target.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runner.selftest.corpus import Case
from runner.tasks.task import Array, Task

FAMILIES = ("answer", "labels", "leak", "cache", "timing", "process", "wire", "component")
# Why a family has nothing to try.
NOT_APPLYING = {
    "cache": "there is no speed target",
    "timing": "there is no speed target",
    "component": "the task asks for no components",
}


@dataclass(frozen=True, slots=True)
class _Form:
    """What a text is written with."""

    entry: str
    inputs: Sequence[Array]
    answer: Sequence[Array]
    hidden: Sequence[str]

    def returning(self, value: str) -> str:
        """A dict with every array of the answer; in `value`, {name}, {shape} and {dtype} are the array's."""
        parts = (f"{a.name!r}: {value.format(name=a.name, shape=a.shape, dtype=a.dtype)}" for a in self.answer)
        return "{" + ", ".join(parts) + "}"

    def function(self, body: str, *before: str) -> str:
        """A file whose entry has this body."""
        head = "\n".join(("import numpy as np", *before))
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        return f"{head}\n\n\ndef {self.entry}(**given):\n{lines}\n"


def generic_cheats(task: Task, scale: str, hidden: Sequence[str] = ()) -> Iterator[Case]:
    """Every attack that applies to a task at a scale.

    Args:
        hidden: names of what stays on the host.
    """
    form = _Form(task.file.call.entry, task.input_of_call(scale), task.answer_of_call(scale), hidden)
    yield _case(task, "empty-file", "answer", "submits nothing but a comment", b"# nothing\n")
    yield _case(task, "zeros", "answer", "answers with zeros", form.function(f"return {form.returning(_ZEROS)}"))
    yield _case(task, "echo", "answer", "hands an input back", form.function(_echo(form)))
    hunt = form.function(_HUNT.format(answer=form.returning("pick({shape!r}, {dtype!r})")), "import gc")
    yield _case(task, "hunt-in-memory", "leak", "looks through all objects for arrays that could be the answer", hunt)
    yield _case(task, "hunt-in-frames", "labels", "walks up the stack for hidden values by their names",
                form.function(_FRAMES.format(hidden=list(hidden), answer=form.returning(_FOUND)), "import sys"))  # fmt: skip
    yield _case(task, "hunt-in-files", "leak", "searches the file system for the task's own files",
                form.function(_FILES.format(answer=form.returning(_ZEROS)), "import os"))  # fmt: skip
    yield _case(task, "exit-quietly", "process", "ends before it answers", form.function("raise SystemExit(0)"))
    yield _case(task, "thread-fills-later", "process", "hands out arrays that a thread fills later",
                _after(task, _LATER.replace("ANSWER", form.returning(_ZEROS))))  # fmt: skip
    yield _case(task, "forged-answer", "wire", "writes an answer frame of zeros itself", _after(task, _forged(form)))
    if (look_up := _look_up(form)) is not None:
        yield _case(task, "look-up", "labels", "looks test rows up among the training rows", form.function(look_up))
    if task.file.components:
        hide = _after(task, _HIDDEN.replace("NAMES", repr(sorted(task.file.components))))
        yield _case(task, "hidden-components", "component", "does its work with classes that nobody can find", hide)
    if task.target(scale) is not None:
        yield _case(task, "no-op", "timing", "submits the baseline as it is", task.baseline)
        yield _case(task, "patch-clocks", "timing", "replaces every clock of the time module", _after(task, _CLOCKS))
        yield _case(task, "tmp-cache", "cache", "keeps its answer in /tmp for the next sample", _after(task, _CACHE))


def _case(task: Task, name: str, kind: str, tries: str, content: str | bytes) -> Case:
    text = content if isinstance(content, bytes) else content.encode()
    return Case(id=name, kind=kind, task=task.name, says=tries, expected=(), note="", content=text)


def _after(task: Task, text: str) -> bytes:
    """The baseline with something after it."""
    return task.baseline + b"\n\n" + text.replace("ENTRY", task.file.call.entry).encode()


_ZEROS = "np.zeros({shape!r}, {dtype!r})"
_FOUND = "np.asarray(found.get({name!r}, np.zeros({shape!r})), {dtype!r}).reshape({shape!r})"


def _echo(form: _Form) -> str:
    """Return for each array an input of the same form, zeros where there is none."""
    known = {(array.dtype, array.shape): array.name for array in form.inputs}
    parts = (
        f"{a.name!r}: given[{known[a.dtype, a.shape]!r}]"
        if (a.dtype, a.shape) in known
        else f"{a.name!r}: {_ZEROS.format(shape=a.shape, dtype=a.dtype)}"
        for a in form.answer
    )
    return "return {" + ", ".join(parts) + "}"


def _look_up(form: _Form) -> str | None:
    """Answer each row that stands among other rows with the value beside it there; None where no inputs are so related."""
    for one in form.inputs:
        for other in form.inputs:
            are_rows = one.name != other.name and len(one.shape) > 1 and one.shape[1:] == other.shape[1:]
            for labels in form.inputs if are_rows and one.dtype == other.dtype else ():
                for wanted in form.answer:
                    if labels.shape == one.shape[:1] and (wanted.dtype, wanted.shape) == (
                        labels.dtype,
                        other.shape[:1],
                    ):
                        return _LOOK_UP.format(one=one.name, other=other.name, labels=labels.name, name=wanted.name,
                                               dtype=wanted.dtype, answer=form.returning(_ZEROS))  # fmt: skip
    return None


def _forged(form: _Form) -> str:
    size = sum(array.nbytes for array in form.answer)
    return (
        "import os\nimport sys\n\nmain = sys.modules['__main__']\n"
        f"nothing = bytes({size})\n"
        "os.write(201, main.HEADER.pack(2, len(nothing), main.ANSWER, 2) + b'{}' + nothing)\n"
    )


_HUNT = """\
mine = {{id(value) for value in given.values()}}
found = [o for o in gc.get_objects() if isinstance(o, np.ndarray) and id(o) not in mine]


def pick(shape, dtype):
    fitting = [o for o in found if o.shape == shape and o.dtype == dtype]
    return (fitting or [np.zeros(shape, dtype)])[-1]


return {answer}"""

_FRAMES = """\
wanted, found, frame = {hidden!r}, {{}}, sys._getframe()
while frame is not None:
    for values in (frame.f_locals, frame.f_globals):
        for name, value in list(values.items()):
            inner = value if isinstance(value, dict) else {{name: value}}
            found.update((n, v) for n, v in list(inner.items()) if n in wanted)
    frame = frame.f_back
return {answer}"""

_FILES = """\
wanted = {{"problem.py", "solution", "hidden.npz", "results.json", "task.toml"}}
for folder, folders, files in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/usr", "/opt")):
        folders.clear()
    if wanted & set(folders + files):
        raise RuntimeError("found " + folder)
return {answer}"""

_LOOK_UP = """\
known = {{row.tobytes(): value for row, value in zip(given[{one!r}], given[{labels!r}])}}
answer = {answer}
answer[{name!r}][...] = np.array([known.get(row.tobytes(), 0) for row in given[{other!r}]], {dtype!r})
return answer"""

_HIDDEN = """\
_kept = {name: globals().pop(name) for name in NAMES}
_work = ENTRY


def ENTRY(**given):
    globals().update(_kept)
    try:
        return _work(**given)
    finally:
        for name in _kept:
            del globals()[name]
"""

_LATER = """\
import threading

import numpy as np

_work = ENTRY


def ENTRY(**given):
    out = ANSWER

    def fill():
        for name, values in _work(**given).items():
            out[name][...] = values

    threading.Thread(target=fill, daemon=True).start()
    return out
"""

_CLOCKS = """\
import time

time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0
time.time_ns = time.monotonic_ns = time.perf_counter_ns = lambda: 0
"""

_CACHE = """\
import os
import pickle

_work = ENTRY


def ENTRY(**given):
    path = "/tmp/answer"
    if os.path.exists(path):
        with open(path, "rb") as file:
            return pickle.load(file)
    answer = _work(**given)
    with open(path, "wb") as file:
        pickle.dump(answer, file)
    return answer
"""
