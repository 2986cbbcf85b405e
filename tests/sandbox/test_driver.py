"""What the driver inside does with a file: how it runs it, and how it makes and calls its components."""

import functools
import gc
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.sandbox import wire


def load_driver() -> types.ModuleType:
    """The driver's functions; what turns a process into PID 1 is a text of its own."""
    inside = types.ModuleType("inside")
    text = (Path(wire.__file__).parent / "inside" / "driver.py").read_text(encoding="utf-8")
    exec(compile(text, "driver.py", "exec"), inside.__dict__)
    inside.__dict__["sys"] = sys
    return inside


driver = load_driver()


class Net:
    """A network with one weight for each input."""

    def __init__(self, width: int, scale: float = 1.0) -> None:
        self.weights = np.full(width, scale, dtype=np.float32)

    def parameters(self) -> list[np.ndarray]:
        return [self.weights]

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x @ self.weights


def module(kind: type, **more: Any) -> types.ModuleType:
    made = types.ModuleType("submission")
    made.__dict__.update({"Net": kind, **more})
    return made


def probe(made: types.ModuleType, x: np.ndarray, instances: dict[str, Any] | None = None, **changes: Any) -> Any:
    head = {
        "component": "Net",
        "fresh": True,
        "init": [3],
        "entry": "run",
        "call": {"width": 3},
        "method": "forward",
        "parameters": "parameters",
        "draw": None,
        "shapes": [],
        "convert": None,
        "answer": [["out0", "float64", list(x.shape[:1])]],
        "any_dtype": ["out0"],
    }
    return driver.call_probe(made, {**head, **changes}, {"in0": x}, {} if instances is None else instances)


X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_a_sample_says_that_it_is_ready_behind_the_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    """PID 1 has the user id of what runs in a sample: whoever sets its limits ends it, as if the host had."""
    done: list[Any] = []
    monkeypatch.setattr(driver, "fence", lambda: done.append("fence"), raising=False)
    monkeypatch.setattr(driver, "READY", 4, raising=False)
    monkeypatch.setattr(driver, "preload", lambda names: done.append("imports"))
    inside = driver.Driver(types.SimpleNamespace(write=lambda kind, sequence, head: done.append("ready")))
    inside.do_setup(1, {"preload": [], "inputs": [], "calls": 1}, b"")
    assert done == ["fence", "imports", "ready"]


def test_a_class_counts_that_the_module_has_with_the_methods_that_it_has() -> None:
    made = module(Net, alias=Net, instance=Net(1), function=lambda: Net(1))
    asked = {name: ["forward", "backward"] for name in ("Net", "alias", "instance", "function", "absent")}
    assert driver.components_of(made, asked) == {"Net": ["forward"], "alias": ["forward"]}


def described(made: types.ModuleType) -> dict[str, Any]:
    sent = []
    wire = types.SimpleNamespace(write=lambda kind, sequence, head: sent.append(head))
    inside = driver.Driver(wire)
    inside.module = made
    inside.do_describe(1, {"components": {"Net": ["forward"]}, "entry": "run"}, b"")
    [head] = sent
    return head


def test_a_class_counts_that_the_entry_binds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "ANSWER", 5, raising=False)
    late = types.ModuleType("submission")
    late.run = lambda: setattr(late, "Net", Net)  # type: ignore[attr-defined]
    assert described(late) == {"present": {"Net": ["forward"]}}


def test_a_module_without_its_entry_has_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "FAILED", 6, raising=False)
    head = described(types.ModuleType("submission"))
    assert head["present"] == {} and "run" in head["error"]


class Layered(Net):
    """Its constructor sets what others write as a method."""

    forward = None  # type: ignore[assignment]

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.forward = lambda x: x @ self.weights


def fails(**given: Any) -> None:
    Layered(3)
    raise ValueError("no")


@pytest.mark.parametrize("entry", [lambda **given: Layered(3), fails], ids=["runs", "fails once it has made one"])
def test_a_method_counts_that_an_instance_has_from_its_constructor(
    entry: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "ANSWER", 5, raising=False)
    assert described(module(Layered, run=entry)) == {"present": {"Net": ["forward"]}}
    assert probe(module(Layered, run=entry), X)[0].tolist() == [3.0, 12.0]


def test_a_method_that_no_instance_of_the_class_has_is_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "ANSWER", 5, raising=False)

    class Lacking(Net):
        forward = None  # type: ignore[assignment]

    class Other(Lacking):
        forward = Net.forward  # type: ignore[assignment]

    for entry in (lambda: None, lambda: Lacking(3), lambda: Other(3)):
        assert described(module(Lacking, run=entry)) == {"present": {"Net": []}}


def test_classes_are_as_they_were_after_they_were_watched() -> None:
    original = Net.__init__
    found = driver.made_in_use([Net, Layered, Net], lambda: (Net(1), Net(2), Layered(3)))
    assert [(type(one), given) for one, given, _ in found] == [(Net, (1,)), (Layered, (3,))]
    assert Net.__init__ is original


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def around(*given: Any, **named: Any) -> Any:
        return function(*given, **named)

    return around


class Called:
    def method(self, x: int, v: int) -> tuple[int, int]:
        return x, v

    def __call__(self, positions: int, velocities: int) -> tuple[int, int]:
        return positions, velocities


@pytest.mark.parametrize(
    "entry",
    [
        lambda positions, velocities: (positions, velocities),
        lambda velocities, positions: (positions, velocities),
        lambda *, velocities, positions: (positions, velocities),
        lambda **given: (given["positions"], given["velocities"]),
        lambda positions, **given: (positions, given["velocities"]),
        lambda x, v: (x, v),
        lambda x, v, /: (x, v),
        lambda x, velocities, more=3: (x, velocities),
        lambda *given: given,
        Called().method,
        Called(),
        functools.partial(lambda more, positions, velocities: (positions, velocities), 3),
        decorated(lambda x, v: (x, v)),
        decorated(decorated(lambda velocities, positions: (positions, velocities))),
        functools.wraps(lambda x, v: None)(lambda *, velocities, positions: (positions, velocities)),
        functools.wraps(lambda x, v: None)(lambda **given: (given["positions"], given["velocities"])),
    ],
)
def test_an_entry_gets_its_inputs_by_name_or_in_their_order_where_it_has_other_names(entry: Callable[..., Any]) -> None:
    assert driver.call_with(entry, {"positions": 1, "velocities": 2}) == (1, 2)


@pytest.mark.parametrize("entry", [lambda x: x, lambda x, v, m: x, lambda *, x, v: x, lambda: 0])
def test_an_entry_that_takes_another_number_of_inputs_fails(entry: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="argument"):
        driver.call_with(entry, {"positions": 1, "velocities": 2})


@pytest.mark.slow
def test_values_of_any_real_dtype_come_back_where_the_task_fixes_none() -> None:
    [found] = probe(module(Net), X)
    assert found.dtype == np.float64 and found.tolist() == [3.0, 12.0]
    with pytest.raises(driver.InvalidAnswer, match=r"float32\[2\], asked for was float64\[2\]"):
        probe(module(Net), X, any_dtype=[])


def test_values_that_are_not_real_numbers_stay_what_they_are() -> None:
    for dtype in (np.complex128, object, "U1"):
        assert driver.to_array(np.zeros(2, dtype=dtype), "float64").dtype == np.dtype(dtype)


def test_a_constructor_that_takes_other_arguments_gets_those_that_the_file_gives() -> None:
    class Own(Net):
        def __init__(self, *, shape: dict[str, int]) -> None:
            super().__init__(shape["width"], scale=2.0)

    def run(width: int) -> None:
        Own(shape={"width": width}).forward(X)

    original = Own.__init__
    assert probe(module(Own, run=run), X)[0].tolist() == [6.0, 24.0]
    assert Own.__init__ is original


def test_a_constructor_that_the_file_never_calls_fails_as_it_is() -> None:
    class Own(Net):
        def __init__(self, *, key: str) -> None:
            raise PermissionError(key)

    with pytest.raises(TypeError, match="argument"):
        probe(module(Own, run=lambda width: None), X)


class Keyed(Net):
    """A class that nobody makes who has no key."""

    def __init__(self, *, key: float) -> None:
        super().__init__(3, key)


def test_an_instance_that_the_file_made_before_its_entry_ran_is_copied() -> None:
    made = Keyed(key=2.0)
    holder = module(Keyed, run=lambda width: made.forward(np.zeros(3)))
    assert np.array_equal(probe(holder, np.ones((4, 3)))[0], np.full(4, 6.0))
    probe(holder, np.ones((4, 3)), draw=1)
    assert np.array_equal(made.weights, np.full(3, 2.0)), "the file's own keeps its values"


def test_an_instance_that_the_file_makes_is_no_reason_to_copy_another() -> None:
    kept = Keyed(key=2.0)
    holder = module(Keyed, run=lambda width: Keyed(key=5.0).forward(np.zeros(3)))
    assert np.array_equal(probe(holder, np.ones((4, 3)))[0], np.full(4, 15.0)), kept


def test_further_arguments_in_front_of_the_baselines_are_not_taken_for_them() -> None:
    class Own(Net):
        def __init__(self, scale: float = 1.0, width: int = 3) -> None:
            super().__init__(width, scale)

    calls = []

    def run(width: int) -> None:
        calls.append(Own(width=width))

    instances: dict[str, Any] = {}
    assert probe(module(Own, run=run), X, instances)[0].tolist() == [3.0, 12.0]
    assert probe(module(Own, run=run), X, instances)[0].tolist() == [3.0, 12.0]
    assert len(calls) == 1  # the entry may be slow


def test_an_instance_that_answers_in_another_form_is_made_as_the_file_makes_it() -> None:
    class Own(Net):
        def __init__(self, *sizes: int) -> None:
            super().__init__(3)
            self.sizes = sizes

        def forward(self, x: np.ndarray) -> np.ndarray:
            return super().forward(x)[: len(self.sizes)]

    assert probe(module(Own, run=lambda width: Own(1, 2)), X)[0].tolist() == [3.0, 12.0]


def test_a_class_that_takes_what_the_baselines_takes_is_made_without_running_the_entry() -> None:
    def run(width: int) -> None:
        raise AssertionError("it ran")

    assert probe(module(Net, run=run), X, init=[3, 2.0])[0].tolist() == [6.0, 24.0]


def test_instances_of_a_subclass_do_not_count_as_the_classs_own() -> None:
    class Own(Net):
        def __init__(self, shape: list[int]) -> None:
            super().__init__(*shape)

    class Other(Own):
        pass

    assert driver.arguments_in_use(Own, lambda: (Other([1]), Own([2]))) == [(([2],), {})]


def test_parameters_are_drawn_in_place_from_a_seed() -> None:
    instances: dict[str, Any] = {}
    first = probe(module(Net), X, instances, draw=1)[0].tolist()
    assert first != probe(module(Net), X, instances)[0].tolist() == [3.0, 12.0]
    assert first == probe(module(Net), X, instances, draw=1)[0].tolist()
    assert first != probe(module(Net), X, instances, draw=2, fresh=False)[0].tolist()


def test_parameters_of_a_shape_get_the_same_values_in_any_order_and_whichever_way_they_stand() -> None:
    count: dict[tuple[int, ...], int] = {}
    first, second, square = (driver.drawn_values(shape, 3, count) for shape in ((5, 2), (2, 5), (4, 4)))
    turned: dict[tuple[int, ...], int] = {}
    assert (driver.drawn_values((4, 4), 3, turned) == square.T).all()
    assert (driver.drawn_values((2, 5), 3, turned) == first.T).all() and (first != second.T).all()
    assert driver.drawn_values((), 3, {}).shape == ()


@pytest.mark.parametrize("row", [(1, 3), (3, 1)])
def test_a_bias_that_stands_as_a_matrix_of_one_row_gets_the_values_of_the_vector(row: tuple[int, int]) -> None:
    vector = driver.drawn_values((3,), 3, {}, [(2, 3), (3,)])
    assert driver.drawn_values(row, 3, {}, [(2, 3), (3,)]).tolist() == vector.reshape(row).tolist()


def test_where_the_baseline_has_a_matrix_of_one_row_it_is_none_of_its_vectors() -> None:
    shapes, count = [(1, 3), (3,)], {}  # type: ignore[var-annotated]
    vector, row = driver.drawn_values((3,), 3, count, shapes), driver.drawn_values((3, 1), 3, count, shapes)
    swapped: dict[tuple[int, ...], int] = {}
    assert driver.drawn_values((1, 3), 3, swapped, shapes).T.tolist() == row.tolist()
    assert driver.drawn_values((3,), 3, swapped, shapes).tolist() == vector.tolist()


def test_one_vector_of_all_parameters_gets_the_values_of_each_in_its_place() -> None:
    shapes, count = [(2, 3), (3,), (3, 2)], {}  # type: ignore[var-annotated]
    apart = [driver.drawn_values(shape, 3, count) for shape in shapes]
    together = driver.drawn_values((15,), 3, {}, shapes)
    assert together.tolist() == np.concatenate([each.ravel() for each in apart]).tolist()
    assert driver.drawn_values((14,), 3, {}, shapes).tolist() != together[:14].tolist()


def test_arrays_of_an_instance_are_drawn_where_it_has_no_such_method() -> None:
    class Bare:
        def __init__(self, width: int) -> None:
            self.weights, self.name = np.zeros(width), "bare"

        def forward(self, x: np.ndarray) -> np.ndarray:
            return x @ self.weights

    assert probe(module(Bare), X)[0].tolist() == [0.0, 0.0]
    assert probe(module(Bare), X, draw=1)[0].any()


def test_an_array_that_an_instance_holds_under_two_names_is_drawn_once() -> None:
    weights, bias = np.zeros((2, 3)), np.zeros(3)
    made = types.SimpleNamespace(weights=weights, bias=bias, parameters=[weights, bias])
    driver.draw_parameters(made, "parameters", 3)
    assert weights.tolist() == driver.drawn_values((2, 3), 3, {}).tolist()
    assert bias.tolist() == driver.drawn_values((3,), 3, {}).tolist()


FIRST, SECOND = (np.zeros((2, 3), np.float32) for _ in range(2))


@pytest.mark.parametrize(
    "yielded",
    [
        [FIRST, SECOND],
        iter((FIRST, SECOND)),
        {"first": FIRST, "second": SECOND},
        [("first", FIRST), ("second", SECOND)],
        [[FIRST, np.arange(3)], [SECOND, None], "name", np.float32, np.float32(0.1)],
    ],
    ids=["list", "iterator", "by name", "pairs", "layers"],
)
def test_parameters_are_drawn_in_whatever_they_are_yielded(yielded: Any) -> None:
    made = types.SimpleNamespace(parameters=lambda: yielded)
    driver.draw_parameters(made, "parameters", 3)
    count: dict[tuple[int, ...], int] = {}
    for held in (FIRST, SECOND):
        assert held.tolist() == driver.drawn_values((2, 3), 3, count).astype(np.float32).tolist()
        held[...] = 0.0


def test_one_array_of_all_parameters_needs_nothing_around_it() -> None:
    whole = np.zeros(15)
    shapes = [(2, 3), (3,), (3, 2)]
    driver.draw_parameters(types.SimpleNamespace(parameters=lambda: whole), "parameters", 3, shapes)
    assert whole.tolist() == driver.drawn_values((15,), 3, {}, shapes).tolist()


def test_a_class_that_is_made_without_a_constructor_of_its_own_does_not_end_the_run_that_shows_instances() -> None:
    class Fixed:
        def __new__(cls, width: int) -> Any:
            return super().__new__(cls)

    class Other:
        pass

    made = driver.made_in_use([Fixed, Other], lambda: (Fixed(3), Other()))
    assert [(type(one), given) for one, given, _ in made] == [(Fixed, (3,)), (Other, ())]
    assert type(Fixed(4)) is Fixed


@pytest.mark.parametrize("convert", [None, "numpy.atleast_1d"])
@pytest.mark.parametrize("scalar", ["int64", "float64", "bool"])
def test_a_method_gets_a_number_beside_its_arrays_as_the_entry_does(scalar: str, convert: str | None) -> None:
    class Scaled:
        def forward(self, x: np.ndarray, factor: float) -> np.ndarray:
            assert type(factor).__name__ == scalar.rstrip("64")
            return np.asarray(x[:, 0] * factor)

    body = X.tobytes() + np.ones((), scalar).tobytes()
    inputs = driver.arrays_from(body, [["in0", "float32", [2, 3]], ["in1", scalar, []]])
    head = {"component": "Net", "fresh": True, "init": [], "entry": "run", "method": "forward", "parameters": None}
    head |= {
        "draw": None,
        "shapes": [],
        "convert": convert,
        "any_dtype": ["out0"],
        "answer": [["out0", "float64", [2]]],
    }
    assert driver.call_probe(module(Scaled), head, inputs, {})[0].tolist() == [0.0, 3.0]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_a_method_that_takes_one_floating_type_alone_gets_it(dtype: str) -> None:
    class Strict(Net):
        def forward(self, x: np.ndarray) -> np.ndarray:
            seen, values = x.dtype, x.copy()
            x[:] = 0  # what a failed try does to its input, the next one does not see
            assert seen == np.dtype(dtype)
            return super().forward(values)

    assert probe(module(Strict), X)[0].tolist() == [3.0, 12.0]


def test_a_method_that_takes_neither_says_what_it_said_first() -> None:
    class Broken(Net):
        def forward(self, x: np.ndarray) -> np.ndarray:
            raise ValueError(str(x.dtype))

    with pytest.raises(ValueError, match="float32"):
        probe(module(Broken), X)


@pytest.mark.slow
@pytest.mark.parametrize("pair", [tuple, list, np.stack])
def test_several_arrays_may_come_in_any_sequence(pair: Any) -> None:
    class Two(Net):
        def forward(self, x: np.ndarray) -> Any:
            return pair([x, -x])

    answer = [["out0", "float64", [2, 3]], ["out1", "float64", [2, 3]]]
    first, second = probe(module(Two), X, answer=answer, any_dtype=["out0", "out1"])
    assert (first == X).all() and (second == -X).all()
    with pytest.raises(driver.InvalidAnswer, match="2 arrays came back, asked for were 3"):
        probe(module(Two), X, answer=[*answer, answer[0]])


@pytest.mark.parametrize(
    "source",
    [b"\xef\xbb\xbfx = '\xc3\xa9'", b"# coding: latin-1\nx = '\xe9'", b"\x0cx = '\xc3\xa9'\r\n"],
)
def test_a_file_is_compiled_from_its_bytes(source: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submission", types.ModuleType("before"))
    assert driver.load(source, str(tmp_path / "x.py")).x == "\u00e9"


def test_what_was_loaded_beforehand_is_no_garbage_of_the_file() -> None:
    before = gc.get_freeze_count()
    try:
        assert set(driver.preload(["math", "no_such_module"])) == {"no_such_module"}
        assert gc.isenabled() and gc.get_freeze_count() > before
        assert not any(entry is Net for entry in gc.get_objects())
    finally:
        gc.unfreeze()


# Several calls in one sample

STACKED = [["values", "float64", [3, 4]], ["times", "int64", [3]]]
ANSWER = [("total", "float64", [3]), ("parts", "float64", [3, 4])]


def body_of_calls() -> tuple[np.ndarray, bytes]:
    values, times = np.arange(12, dtype=np.float64).reshape(3, 4), np.array([2, 3, 4])
    return values * times[:, None], values.tobytes() + times.tobytes()


def test_each_call_gets_arrays_that_share_no_memory_and_plain_numbers() -> None:
    calls = driver.calls_from(body_of_calls()[1], STACKED, 3)
    assert [call["times"] for call in calls] == [2, 3, 4] and {type(call["times"]) for call in calls} == {int}
    assert all(call["values"].base is None and call["values"].flags.writeable for call in calls)
    (alone,) = driver.calls_from(body_of_calls()[1], STACKED, 1)
    assert alone["values"].shape == (3, 4)


@pytest.mark.parametrize("reuses", [False, True])
def test_answers_are_taken_before_the_next_call_which_may_use_the_memory_again(reuses: bool) -> None:
    kept = np.empty(4)

    def run(values: np.ndarray, times: int) -> dict[str, Any]:
        parts = np.multiply(values, times, out=kept if reuses else None)
        return {"total": parts.sum(), "parts": parts}

    made, (parts, body) = types.ModuleType("submission"), body_of_calls()
    made.run = run  # type: ignore[attr-defined]
    found = driver.call_all(made, {"entry": "run", "answer": ANSWER}, driver.calls_from(body, STACKED, 3))
    assert np.array_equal(found[0], parts.sum(axis=1)) and np.array_equal(found[1], parts)
    assert driver.to_bytes(found, ANSWER) == parts.sum(axis=1).tobytes() + parts.tobytes()


def test_one_call_with_an_answer_of_another_form_is_an_invalid_answer() -> None:
    made = types.ModuleType("submission")
    made.run = lambda values, times: {"total": 1.0, "parts": values[: times + 1]}  # type: ignore[attr-defined]
    with pytest.raises(driver.InvalidAnswer, match=r"parts is float64\[3\], asked for was float64\[4\]"):
        driver.call_all(made, {"entry": "run", "answer": ANSWER}, driver.calls_from(body_of_calls()[1], STACKED, 3))
