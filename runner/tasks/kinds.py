"""What tells the kinds of call apart in a task's own files: keys of task.toml, functions of problem.py, forms of its data.

Grading knows one form of data, arrays in and arrays out. What a problem.py of another kind makes and judges, files or bytes,
is turned into that form here: bytes are arrays of uint8.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from runner.tasks.authoring import Answer, BadAnswer, Case, Cases, Order, Question
from runner.tasks.schema import CallSection

Kind = Literal["python", "program", "answer", "tests"]
# The keys of [call] that a kind needs, and those that it may have besides.
CALL_KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "python": (("entry",), ("baseline", "repeat")),
    "program": (
        ("run",),
        ("build", "baseline", "compare", "tolerance", "stdout_max", "out_max", "files_max", "build_wall_s"),
    ),
    "answer": (("seed",), ("form", "baseline")),
    "tests": ((), ("reward", "over_steps", "solution_env")),
}
# Tables and keys that a kind needs besides `[call]`.
NEEDED: Mapping[str, tuple[str, ...]] = {
    "python": ("inputs", "answer", "imports", "workspace.starter"),
    "program": ("quality.minimum",),
    "answer": ("quality.minimum",),
    "tests": ("quality.minimum", "steps"),
}
# What a kind has no use for: a key that nothing reads would be a wish that is silently not heard.
UNUSED: Mapping[str, tuple[str, ...]] = {
    "python": ("steps", "workspace.start"),
    "program": ("inputs", "answer", "imports", "components", "steps", "workspace.start"),
    "answer": ("inputs", "imports", "components", "target.speedup", "workspace.sample", "steps", "workspace.start"),
    "tests": ("inputs", "answer", "imports", "components", "target.speedup", "workspace.sample", "workspace.starter"),
}
# The functions that a problem.py of a kind may define.
FUNCTIONS: Mapping[str, tuple[str, ...]] = {"program": ("make", "judge"), "answer": ("make", "score")}
CALLS = 4  # what random numbers derived from a round's seed are for, beside those of `grading/data.py`
SEED_WORDS = 4  # of 32 bits: as long as a round's own seed
NUMBER_BYTES_MAX = 64  # chosen: a float64 with all its digits has 24
PATH_BYTES_MAX = 1024  # as of what a submission's folder may hold
Made = TypeVar("Made", Question, Cases, Case)
TEXT = "text"  # the name of the one array of an answer that is a text


def required_functions(call: CallSection) -> tuple[str, ...]:
    """The functions that a problem.py must define."""
    if call.kind == "tests":
        return ()
    if call.kind != "program":
        return "make", "score"
    return ("make", "judge") if call.compare == "judge" else ("make",)


def of_bytes(content: bytes) -> NDArray[np.generic]:
    """(n_bytes,), uint8."""
    return np.frombuffer(content, dtype=np.uint8)


def to_bytes(array: NDArray[np.generic]) -> bytes:
    """The bytes again."""
    return np.ascontiguousarray(array).tobytes()


def adapt(call: CallSection, functions: Mapping[str, Any]) -> dict[str, Any]:
    """The functions of a problem.py as those of `Problem`."""
    kind = call.kind
    if kind == "program":
        judge = functions.get("judge")
        return {"make": _makes_cases(functions["make"]), "score": _scores_cases(judge or comparison(call))}
    if kind == "answer":
        scored = _scores_question(functions["score"], is_text=call.form == "text")
        return {"make": _makes_question(functions["make"]), "score": scored}
    return dict(functions) if call.repeat == 1 else _repeated(call.repeat, functions)


def _makes_question(make: Callable[[int, Mapping[str, int]], Question]) -> Callable[[int, Mapping[str, int]], Case]:
    def made(seed: int, sizes: Mapping[str, int]) -> Case:
        question = made_as(Question, make(seed, sizes))
        if (wrong := _misfit_of_paths(list(question.files))) is not None:
            raise ValueError(wrong)
        files = {name: of_bytes(plain_bytes(content, f"file {name}")) for name, content in question.files.items()}
        return Case(files, question.hidden)

    return made


def made_as(kind: type[Made], made: object) -> Made:
    """What `make` gave, which is of this kind.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(made, kind):
        raise TypeError(f"it gave a {type(made).__name__}, {kind.__name__} of runner.tasks is asked for")
    return made


def plain_bytes(content: object, what: str) -> bytes:
    """Bytes as they are. Of a number `bytes()` would make so many zeros, and of a list its items.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(content, bytes | bytearray | memoryview):
        raise TypeError(f"{what} is a {type(content).__name__}, bytes are asked for")
    return bytes(content)


def folders_of(path: str) -> list[str]:
    """The folders that a path in a workspace lies in, the outermost first."""
    steps = path.split("/")
    return ["/".join(steps[:length]) for length in range(1, len(steps))]


def _misfit_of_paths(names: Sequence[object]) -> str | None:
    """Why these cannot be the files of one workspace; None: they can."""
    texts = {name for name in names if isinstance(name, str)}
    for name in names:
        if not isinstance(name, str):
            return f"a file is called {name!r}, a text is asked for"
        steps = name.split("/")
        if (
            not name.isprintable()
            or any(step in ("", ".", "..") for step in steps)
            or len(name.encode()) > PATH_BYTES_MAX
        ):
            return f"a file is called {name!r}, a path in the workspace is asked for, such as 'data/test.csv'"
        if (found := next((folder for folder in folders_of(name) if folder in texts), None)) is not None:
            return f"{found!r} is a file, and the folder of {name!r}"
    return None


def _scores_question(
    score: Callable[[Question, Any], Any], *, is_text: bool
) -> Callable[[Case, Answer], NDArray[np.float64]]:
    def scored(case: Case, answer: Answer) -> NDArray[np.float64]:
        given = _text(answer[TEXT]) if is_text else answer
        return np.asarray(score(Question(files_of(case), case.hidden), given), dtype=np.float64)

    return scored


def files_of(case: Case) -> dict[str, bytes]:
    """The files of a question."""
    return {name: to_bytes(array) for name, array in case.inputs.items()}


def _text(array: NDArray[np.generic]) -> str:
    try:
        return to_bytes(array).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadAnswer(f"the file is not UTF-8: {error.reason} at byte {error.start}") from error


# Functions that a sample calls several times: data and answers of all calls as one, each array with an axis for them


def _repeated(count: int, functions: Mapping[str, Any]) -> dict[str, Any]:
    """The functions of a problem.py, each for one call, as those for `count` calls.

    An item is a call; where items have an order (`rearrange`), it is what it is in one call, with the mean quality over all
    calls, which have their items in one order.
    """
    calls = range(count)

    def make(seed: int, sizes: Mapping[str, int]) -> Case:
        return _case_of_calls([functions["make"](seed_of_call(seed, number), sizes) for number in calls])

    def score(case: Case, answer: Answer) -> NDArray[np.float64]:
        found = [functions["score"](call_of(case, number), one_call(answer, number)) for number in calls]
        items = np.stack([np.asarray(each, dtype=np.float64) for each in found])
        return np.asarray(items.mean(axis=0 if "rearrange" in functions else 1))

    def rearrange(case: Case, order: Order) -> Case:
        return _case_of_calls([functions["rearrange"](call_of(case, number), order) for number in calls])

    def agreement(answer: Answer, rearranged: Answer, order: Order) -> float:
        both = ((one_call(answer, number), one_call(rearranged, number)) for number in calls)
        # Not min(): it passes over a share that is no number, as though that call had agreed.
        return float(np.min([float(functions["agreement"](*pair, order)) for pair in both]))

    def control(case: Case, rng: np.random.Generator) -> Case:
        return _case_of_calls([functions["control"](call_of(case, number), rng) for number in calls])

    def first_reason(name: str) -> Callable[..., str | None]:
        """What the function says of the first call of which it says anything."""

        def reason(*given: Any) -> str | None:
            for number in calls:
                of_call = [call_of(one, number) if isinstance(one, Case) else one_call(one, number) for one in given]
                said = functions[name](*of_call)
                if said is not None:  # what is no text is no reason: whoever asks says so
                    return f"call {number + 1}: {said}" if isinstance(said, str) else said
            return None

        return reason

    several = {"make": make, "score": score, "rearrange": rearrange, "agreement": agreement, "control": control}
    return {name: several.get(name) or first_reason(name) for name in functions}


def seed_of_call(seed: int, number: int) -> int:
    """The seed of one call's data, 128 bits.

    Args:
        seed: of all calls.
        number: of the call, from 0.
    """
    words = np.random.SeedSequence([seed, CALLS, number]).generate_state(SEED_WORDS, np.uint32)
    return sum(int(word) << (32 * place) for place, word in enumerate(words))


def one_call(arrays: Mapping[str, NDArray[np.generic]], number: int) -> dict[str, NDArray[np.generic]]:
    """The arrays of one call, from 0."""
    return {name: np.asarray(array[number]) for name, array in arrays.items()}


def call_of(case: Case, number: int) -> Case:
    """The case of one call, from 0."""
    return Case(one_call(case.inputs, number), one_call(case.hidden, number))


def _case_of_calls(cases: Sequence[Case]) -> Case:
    """The cases of all calls as one.

    Raises:
        TypeError, ValueError: a call's is no case, or is of another form than the others'.
    """
    cases = [made_as(Case, case) for case in cases]
    return Case(_stacked([case.inputs for case in cases]), _stacked([case.hidden for case in cases]))


def _stacked(calls: Sequence[Mapping[str, NDArray[np.generic]]]) -> dict[str, NDArray[np.generic]]:
    """Arrays of several calls as one each, (n_calls, ...).

    Raises:
        ValueError: the calls have other arrays, or arrays of other types or shapes.
    """
    found = {}
    for name in dict.fromkeys(name for call in calls for name in call):
        arrays = [np.asarray(call[name]) for call in calls if name in call]
        forms = {(array.dtype.str, array.shape) for array in arrays}
        if len(arrays) < len(calls) or len(forms) > 1:
            raise ValueError(f"the calls of a sample have {name} in other forms; let make give each seed the same form")
        found[name] = np.stack(arrays)
    return found


# Programs


def case_name(number: int) -> str:
    """The name of a case, from 1."""
    return f"{number:04}"


def _by_number(arrays: Mapping[str, NDArray[np.generic]]) -> list[bytes]:
    """The bytes of each case, in the order of their numbers; as texts, 10000 would stand before 9999."""
    return [to_bytes(arrays[name]) for name in sorted(arrays, key=int)]


def stdin_of(case: Case) -> tuple[bytes, ...]:
    """What each case of a program gets."""
    return tuple(_by_number(case.inputs))


def cases_of(case: Case) -> Cases:
    """A program's cases as problem.py made them."""
    return Cases(_by_number(case.inputs), _by_number(case.hidden))


def _makes_cases(make: Callable[[int, Mapping[str, int]], Cases]) -> Callable[[int, Mapping[str, int]], Case]:
    def made(seed: int, sizes: Mapping[str, int]) -> Case:
        cases = made_as(Cases, make(seed, sizes))
        inputs, hidden = (
            {
                case_name(number): of_bytes(plain_bytes(content, f"{what} of case {number}"))
                for number, content in enumerate(contents, 1)
            }
            for what, contents in cases._asdict().items()
        )
        if not inputs or len(inputs) != len(hidden):
            raise ValueError(f"{len(inputs)} inputs and {len(hidden)} expected outputs")
        return Case(inputs, hidden)

    return made


def _scores_cases(judge: Callable[[Cases, list[bytes]], Any]) -> Callable[[Case, Answer], NDArray[np.float64]]:
    def scored(case: Case, answer: Answer) -> NDArray[np.float64]:
        return np.asarray(judge(cases_of(case), _by_number(answer)), dtype=np.float64)

    scored.__name__ = "judge"  # as its author calls it, in what is said of it
    return scored


def comparison(call: CallSection) -> Callable[[Cases, list[bytes]], list[float]]:
    """(cases, outputs) -> (n_cases,): 1.0 for each right output."""

    def same(expected: bytes, output: bytes) -> bool:
        if call.compare == "exact":
            return output == expected
        wanted, words = expected.split(), output.split()
        if len(wanted) != len(words):
            return False
        if call.compare == "tokens":
            return words == wanted
        return all(map(_is_near, wanted, words, [call.tolerance] * len(words)))

    return lambda cases, outputs: [float(same(*pair)) for pair in zip(cases.expected, outputs, strict=True)]


def _is_near(wanted: bytes, word: bytes, tolerance: float) -> bool:
    """Whether a word is the expected one, or a number near it."""
    if word == wanted:
        return True
    try:
        expected, found = float(wanted), float(word[:NUMBER_BYTES_MAX])
    except ValueError:
        return False
    if b"_" in word:  # Python alone reads a number in it
        return False
    if len(word) > NUMBER_BYTES_MAX or not math.isfinite(expected):  # everything is near infinity
        return False
    return abs(found - expected) <= tolerance * (1.0 + abs(expected))
