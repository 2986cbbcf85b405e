"""Rules over facts about a text, and probes of components: advice is advice, and facts are hostile too."""

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runner.grading.checks import probes as probes_module
from runner.grading.checks.probes import (
    Inspection,
    Probe,
    ProbeResult,
    ProbingTime,
    judge_presence,
    judge_probes,
    make_probes,
    read_presence,
)
from runner.grading.checks.source import check_source, parse_report, possible_imports
from runner.job.setup import load_task
from runner.records.grading import Equivalence
from runner.settings import Settings
from runner.tasks.schema import ProbeInput, ProbeOutput
from runner.tasks.task import Array, Task

PLAIN: dict[str, object] = {
    "imports": ["numpy", "torch.nn"],
    "names": ["numpy", "torch.nn.Module"],
    "places": {"ComplexNN": 12, "ComplexNN.forward": 15},
    "bound": ["ComplexFeatureExtractor", "ComplexNN", "train_and_predict"],
    "called": [],
    "attributes": [],
    "used": ["ComplexNN", "ComplexFeatureExtractor"],
}


@pytest.fixture(scope="module")
def flagship() -> Task:
    return load_task(Settings(), "slow_ml_training_complex")


def marks(task: Task, **changes: object) -> dict[str, str]:
    facts = parse_report(json.dumps({**PLAIN, **changes}).encode())
    return {finding.name: finding.mark for finding in check_source(task, facts)}


def test_a_plain_file_passes_every_check(flagship: Task) -> None:
    assert set(marks(flagship).values()) == {"pass"}


@pytest.mark.parametrize(
    ("changes", "check", "mark"),
    [
        ({"imports": ["os", "contextlib", "heapq", "concurrent.futures"]}, "imports-allowed", "pass"),
        (
            {"imports": ["sklearn.preprocessing", "sklearn", "torch.nn.functional", "numpy.*"]},
            "imports-allowed",
            "pass",
        ),
        ({"imports": ["distutils.core"], "standard": ["distutils"]}, "imports-allowed", "pass"),
        ({"imports": ["torchvision"]}, "imports-allowed", "warn"),
        ({"imports": ["sklearn.linear_model"]}, "imports-allowed", "warn"),
        ({"imports": [".x"]}, "imports-allowed", "warn"),
        ({"bidi": ["U+202E"]}, "no-hidden-text", "warn"),
        ({"cut": ["strings"]}, "source-complete", "warn"),
        ({"unseen": ["the names that `from x import *` binds (line 3)"]}, "source-complete", "warn"),
        ({"unread": "RecursionError"}, "source-complete", "warn"),
        ({"called": ["exec"]}, "no-dynamic-code", "warn"),
        ({"attributes": ["__globals__"]}, "no-introspection", "warn"),
        ({"attributes": ["perf_counter"]}, "no-clock", "warn"),
        ({"bound": ["ComplexFeatureExtractor", "ComplexNN"]}, "entry-function", "warn"),
        ({"used": ["ComplexFeatureExtractor"]}, "component-used:ComplexNN", "warn"),
    ],
)
def test_what_stands_out_is_named(flagship: Task, changes: dict[str, object], check: str, mark: str) -> None:
    assert marks(flagship, **changes)[check] == mark


@pytest.fixture(scope="module")
def forbidding(flagship: Task) -> Task:
    """The flagship with a list of what it forbids."""
    imports = flagship.file.imports.model_copy(update={"forbidden": ["ctypes", "os.system", "exec"]})
    return Task(flagship.folder, flagship.file.model_copy(update={"imports": imports}))


@pytest.mark.parametrize(
    "changes",
    [
        {"imports": ["ctypes.util"]},
        {"names": ["os", "os.system"]},
        {"names": ["exec"]},
        {"cut": ["names"]},
        {"unread": "MemoryError"},
    ],
)
def test_only_what_the_task_forbids_by_name_fails_a_text(
    flagship: Task, forbidding: Task, changes: dict[str, object]
) -> None:
    assert marks(forbidding, **changes)["no-forbidden-names"] == "fail"
    assert "fail" not in marks(flagship, **changes).values()


@pytest.mark.parametrize(
    "changes",
    [
        {"imports": ["os", "ctypeslib"], "names": ["os.systemic", "numpy.exec"]},
        {"cut": ["strings", "used"]},
        {"bidi": ["U+202E"], "called": ["eval"], "imports": ["torchvision"]},
    ],
)
def test_what_the_task_does_not_name_fails_no_text(forbidding: Task, changes: dict[str, object]) -> None:
    assert "fail" not in marks(forbidding, **changes).values()


def test_a_finding_shows_some_of_many_names_and_says_how_many_there_are(flagship: Task) -> None:
    report = parse_report(json.dumps({**PLAIN, "imports": [f"foreign{n}" for n in range(500)]}).encode())
    [finding] = [finding for finding in check_source(flagship, report) if finding.check == "imports-allowed"]
    assert finding.text.endswith("foreign9 and 490 more")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*PLAIN, "text", "x"]), inner),
    max_leaves=20,
)


@given(json_values)
def test_facts_of_any_shape_give_findings_and_no_error(value: object) -> None:
    task = load_task(Settings(), "slow_nbody")
    assert check_source(task, parse_report(json.dumps(value).encode()))


@given(st.binary(max_size=200))
def test_facts_that_are_no_json_say_nothing_about_the_file(body: bytes) -> None:
    assume(not body.strip().startswith(b"{"))
    task = load_task(Settings(), "slow_nbody")
    assert [f.name for f in check_source(task, parse_report(body)) if f.mark != "pass"] == ["source-complete"]


# Presence

WHOLE = {
    "ComplexFeatureExtractor": frozenset(["extract_gradients", "custom_normalize", "extract"]),
    "ComplexNN": frozenset(["custom_activation", "forward"]),
}


def presence(task: Task, **changes: Any) -> list[tuple[str, str]]:
    candidate = replace(Inspection(b"", present=WHOLE), **changes)
    return [(f.mark, f.text) for f in judge_presence(task, candidate, {"ComplexNN": 7, "ComplexNN.forward": 9})]


def test_a_component_is_there_where_the_module_has_it_whatever_its_text_is_like(flagship: Task) -> None:
    assert [mark for mark, _ in presence(flagship)] == ["pass", "pass"]


def test_a_component_that_the_module_does_not_have_is_missing_and_the_text_only_says_where_one_stands(
    flagship: Task,
) -> None:
    findings = presence(flagship, present={"ComplexFeatureExtractor": WHOLE["ComplexFeatureExtractor"]})
    text = "Missing required component: ComplexNN (line 7 defines it, but the module does not have it)"
    assert findings[1] == ("fail", text)


def test_a_method_that_the_class_does_not_have_is_named(flagship: Task) -> None:
    [_, finding] = presence(flagship, present={**WHOLE, "ComplexNN": frozenset(["custom_activation"])})
    assert finding[0] == "fail" and finding[1].startswith("Required component ComplexNN lacks forward (line 9")


def test_a_file_that_does_not_run_has_no_findings_about_its_components(
    flagship: Task, probes: tuple[Probe, ...]
) -> None:
    broken = Inspection(b"", failed="ZeroDivisionError: division by zero")
    assert [(f.check, f.subject, f.mark) for f in judge_presence(flagship, broken, {})] == [
        ("source-runs", "form", "fail")
    ]
    assert judge_probes(flagship, probes, broken, outputs(probes)) == []


# Probes


@pytest.fixture(scope="module")
def probes(flagship: Task) -> tuple[Probe, ...]:
    return make_probes(flagship, "small", 5)


def sampled(probes: tuple[Probe, ...], seed: int, change: float = 0.0) -> list[dict[str, np.ndarray]]:
    """Random outputs for each probe."""
    noise = np.random.default_rng(seed)
    return [{a.name: (noise.standard_normal(a.shape) + change).astype(a.dtype) for a in p.outputs} for p in probes]


def outputs(probes: tuple[Probe, ...], change: float = 0.0) -> Inspection:
    """A candidate whose outputs depend on its inputs and parameters."""
    made = zip(sampled(probes, 1, change), sampled(probes, 2), sampled(probes, 3), strict=True)
    return Inspection(b"", tuple(ProbeResult(a, (b,), c) for a, b, c in made))  # type: ignore[arg-type]


def works(task: Task, probes: tuple[Probe, ...], examined: Inspection) -> list[str]:
    findings = judge_probes(task, probes, examined, outputs(probes), Equivalence.OFF)
    return [finding.mark for finding in findings]


def test_probe_inputs_follow_from_the_seed(flagship: Task, probes: tuple[Probe, ...]) -> None:
    assert make_probes(flagship, "small", 5) == probes
    assert all(a.body != b.body for a, b in zip(make_probes(flagship, "small", 6), probes, strict=True))
    assert all(list(probe.changed(0)) == list(probe.changed(0)) for probe in probes)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float32"])
@pytest.mark.parametrize("shape", [[], [1], [2], [0, 3]])
def test_a_changed_input_is_another_one_however_few_values_it_has(
    flagship: Task, dtype: str, shape: list[int | str]
) -> None:
    """A method that uses such an input gives the same values where it stays the same, and is no worse for it."""
    component = flagship.file.components["ComplexNN"]
    inputs = [ProbeInput(dtype="float32", shape=[3]), ProbeInput(dtype=dtype, shape=shape)]  # type: ignore[arg-type]
    section = component.model_copy(update={"probes": [component.probes[0].model_copy(update={"inputs": inputs})]})
    task = Task(flagship.folder, flagship.file.model_copy(update={"components": {"ComplexNN": section}}))
    for seed in range(40):
        [probe] = make_probes(task, "small", seed)
        whole = 4 * 3  # of the input in front
        for changed in probe.changed(0):
            assert changed[:whole] != probe.body[:whole] and changed[whole:] == probe.body[whole:]
        for changed in probe.changed(1):
            assert changed[:whole] == probe.body[:whole] and len(changed) == len(probe.body)
            assert (changed != probe.body) is (0 not in shape)


METHODS: dict[str, Callable[[np.ndarray, float], object]] = {
    "a label of three": lambda x, w: int(np.argmax(w * x[:3])),
    "a bool": lambda x, w: w * x.sum() > 0.0,
    "a count": lambda x, w: int((x > w).sum()),
    "a number": lambda x, w: float(w * x[0]),
    "always three": lambda x, w: 3,
    "always its own": lambda x, w: w,
    "none of its own": lambda x, w: float(x[0]),
}


@pytest.mark.parametrize(
    ("name", "mark"),
    [(name, "fail" if "always" in name or "own" in name else "pass") for name in METHODS],
)
def test_a_value_that_often_stays_the_same_shows_that_it_depends_on_what_it_is_made_of(
    flagship: Task, monkeypatch: pytest.MonkeyPatch, name: str, mark: str
) -> None:
    """One change shows little of a label; what never changes is no work, however often it is asked."""
    component = flagship.file.components["ComplexNN"]
    section = component.probes[1].model_copy(
        update={
            "inputs": [ProbeInput(dtype="float64", shape=[6])],
            "outputs": [ProbeOutput(shape=[])],
            "parameters": "parameters",
        }
    )
    components = {"ComplexNN": component.model_copy(update={"probes": [section]})}
    task = Task(flagship.folder, flagship.file.model_copy(update={"components": components}))
    weight = [1.0]

    def call(sandbox: object, probe: Probe, entry: str, body: bytes, *, fresh: bool, draw: int | None) -> object:
        if fresh or draw is not None:
            weight[0] = np.random.default_rng(draw).standard_normal()
        return {"out0": np.float64(METHODS[name](np.frombuffer(body), weight[0]))}

    monkeypatch.setattr(probes_module, "call_method", call)
    for seed in range(40):
        [probe] = made = make_probes(task, "small", seed)
        seen = Inspection(b"", (probes_module._probe(cast(Any, None), probe, "run"),))
        [finding] = judge_probes(task, made, seen, seen, Equivalence.OFF)
        assert finding.mark == mark, finding.text


def test_numbers_that_overflow_are_findings_whatever_this_process_makes_of_an_overflow(
    flagship: Task, probes: tuple[Probe, ...]
) -> None:
    """Whoever computes in this process may have made errors of warnings; a guest chooses the numbers."""
    largest = np.finfo(np.float64).max
    huge = [{name: np.where(a > 0, largest, -largest) for name, a in values.items()} for values in sampled(probes, 1)]
    seen = Inspection(b"", tuple(ProbeResult(a, ({n: -x for n, x in a.items()},)) for a in huge))
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        findings = judge_probes(flagship, probes, seen, outputs(probes), Equivalence.REQUIRED)
    assert {finding.check: finding.mark for finding in findings} == {"component-works": "pass", "equivalence": "fail"}


@pytest.mark.parametrize(("shape", "mark"), [([0, 3], "pass"), ([3], "fail")])
def test_an_input_without_values_can_be_no_other_and_none_other_goes_unused(
    flagship: Task, probes: tuple[Probe, ...], shape: list[int], mark: str
) -> None:
    probe = replace(probes[0], inputs=(Array("in0", "float32", tuple(shape)),))
    [values] = sampled((probe,), 1)
    seen = Inspection(b"", (ProbeResult(values, (values,)),))  # type: ignore[arg-type]
    assert works(flagship, (probe,), seen) == [mark]


def test_a_component_that_gives_the_baselines_values_works(flagship: Task, probes: tuple[Probe, ...]) -> None:
    assert set(works(flagship, probes, outputs(probes))) == {"pass"}


def compared(task: Task, probes: tuple[Probe, ...], policy: Equivalence | None) -> dict[str, str]:
    """Marks of equivalence by method, of a file that computes something else everywhere."""
    other, reference = outputs(probes, change=0.5), outputs(probes)
    found = [judge_probes(task, probes, *sides, policy) for sides in ((other, reference), (reference, reference))]
    assert not any(finding.mark != "pass" for finding in found[1])
    return {finding.about.split(".")[1]: finding.mark for finding in found[0] if finding.subject == "equivalence"}


def test_other_values_fail_where_the_task_requires_the_baselines_and_are_reported_elsewhere(
    flagship: Task, probes: tuple[Probe, ...]
) -> None:
    marks = dict.fromkeys(("extract_gradients", "custom_activation", "forward"), "fail")
    assert compared(flagship, probes, None) == {**marks, "custom_normalize": "warn", "extract": "warn"}


def test_a_policy_of_the_user_goes_before_the_tasks(flagship: Task, probes: tuple[Probe, ...]) -> None:
    assert set(compared(flagship, probes, Equivalence.REQUIRED).values()) == {"fail"}
    assert set(compared(flagship, probes, Equivalence.REPORTED).values()) == {"warn"}
    assert compared(flagship, probes, Equivalence.OFF) == {}


def test_what_is_said_nearest_to_a_probe_holds(flagship: Task, probes: tuple[Probe, ...]) -> None:
    section = flagship.file.components["ComplexNN"].model_copy(update={"equivalence": Equivalence.OFF})
    components = {**flagship.file.components, "ComplexNN": section}
    task = Task(flagship.folder, flagship.file.model_copy(update={"components": components}))
    plain, own = (
        replace(p, section=p.section.model_copy(update={"equivalence": e}))
        for p, e in zip([with_parameters(probes)] * 2, (None, Equivalence.REQUIRED), strict=True)
    )
    assert compared(task, (plain,), None) == {}
    assert compared(task, (own,), None) == {"forward": "fail"}


def test_a_network_is_compared_with_the_same_parameters(flagship: Task, probes: tuple[Probe, ...]) -> None:
    probe = with_parameters(probes)
    mine, baselines, other = (result for result in outputs((probe,) * 3).probed)
    other = replace(other, values=sampled((probe,), 9)[0])
    alike = Inspection(b"", (replace(mine, drawn=baselines),)), Inspection(b"", (replace(other, drawn=baselines),))
    unlike = Inspection(b"", (replace(mine, drawn=other),)), Inspection(b"", (replace(mine, drawn=baselines),))
    for sides, mark in ((alike, "pass"), (unlike, "fail")):
        assert [finding.mark for finding in judge_probes(flagship, (probe,), *sides)] == ["pass", mark]


def test_the_same_value_everywhere_is_no_work(flagship: Task, probes: tuple[Probe, ...]) -> None:
    flat = [{a.name: np.ones(a.shape, a.dtype) for a in p.outputs} for p in probes]
    assert set(works(flagship, probes, Inspection(b"", tuple(ProbeResult(values) for values in flat)))) == {"fail"}  # type: ignore[arg-type]


def test_values_that_do_not_depend_on_an_input_are_no_work(flagship: Task, probes: tuple[Probe, ...]) -> None:
    made = [
        ProbeResult(values, (values,), other)
        for values, other in zip(sampled(probes, 1), sampled(probes, 3), strict=True)
    ]  # type: ignore[arg-type]
    findings = judge_probes(flagship, probes, *[Inspection(b"", tuple(made))] * 2, Equivalence.OFF)
    assert all("does not depend on its input 0" in finding.text for finding in findings)


def test_values_that_do_not_depend_on_the_parameters_are_no_work(flagship: Task, probes: tuple[Probe, ...]) -> None:
    made = [
        ProbeResult(values, (other,), values)
        for values, other in zip(sampled(probes, 1), sampled(probes, 3), strict=True)
    ]  # type: ignore[arg-type]
    examined = Inspection(b"", tuple(made))
    findings = judge_probes(flagship, probes, examined, examined, Equivalence.OFF)
    assert any("it does not use its own" in finding.text for finding in findings)


@given(json_values)
def test_whatever_a_module_claims_to_have_is_a_finding_and_no_error(value: object) -> None:
    task = load_task(Settings(), "slow_ml_training_complex")
    claimed = Inspection(b"", present=read_presence(value))
    assert [f.about for f in judge_presence(task, claimed, {})] == list(task.file.components)


def with_parameters(probes: tuple[Probe, ...]) -> Probe:
    [probe] = [probe for probe in probes if probe.section.parameters]
    return probe


@pytest.mark.parametrize(
    ("as_made", "drawn", "mark"),
    [
        ((0, 0, 0), (1, 2, 3), "pass"),  # zeros at the start
        ((1, 2, 1), (1, 2, 3), "pass"),  # the same parameters at each start
        ((1, 2, 3), (0, 0, 0), "pass"),  # parameters that cannot be drawn from outside
        ((0, 0, 0), (0, 0, 0), "fail"),
        ((1, 2, 1), (1, 2, 1), "fail"),  # none of its own
        ((1, 1, 2), (1, 1, 2), "fail"),  # no input
        ((1, 2, 1), (1, 1, 2), "fail"),
    ],
)
def test_parameters_show_as_they_are_made_or_where_they_are_drawn(
    flagship: Task, probes: tuple[Probe, ...], as_made: tuple[int, ...], drawn: tuple[int, ...], mark: str
) -> None:
    """Numbers: the values, those of changed inputs, and those of other parameters; 0 are zeros, equal ones are equal."""
    probe = with_parameters(probes)

    def values(seed: int) -> dict[str, np.ndarray]:
        return {a.name: min(seed, 1) * np.random.default_rng(seed).standard_normal(a.shape) for a in probe.outputs}

    def result(seeds: tuple[int, ...]) -> ProbeResult:
        value, changed, other = map(values, seeds)
        return ProbeResult(value, (changed,), other)  # type: ignore[arg-type]

    seen = Inspection(b"", (replace(result(as_made), drawn=result(drawn)),))
    [finding] = judge_probes(flagship, [probe], seen, seen, Equivalence.OFF)
    assert finding.mark == mark, finding.text


@pytest.mark.parametrize(("error", "mark"), [(0.9, "pass"), (1.1, "fail")])
def test_the_tolerance_of_a_probe_is_the_tasks(
    flagship: Task, probes: tuple[Probe, ...], error: float, mark: str
) -> None:
    probe = probes[0]
    reference = outputs((probe,))
    values = {
        name: array + error * probe.section.tolerance * np.abs(array).max()
        for name, array in reference.probed[0].values.items()  # type: ignore[union-attr]
    }
    seen = Inspection(b"", (replace(reference.probed[0], values=values),))
    assert [finding.mark for finding in judge_probes(flagship, [probe], seen, reference)] == ["pass", mark]


def test_what_went_wrong_is_said(flagship: Task, probes: tuple[Probe, ...]) -> None:
    failed = Inspection(b"", tuple(ProbeResult("TypeError: no") for _ in probes))
    assert all("TypeError: no" in finding.text for finding in judge_probes(flagship, probes, failed, outputs(probes)))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"imports": ["numpy", "torch.nn"], "strings": ["sklearn.preprocessing"]}, {"numpy", "torch", "sklearn"}),
        ({"imports": "numpy"}, set()),
        ({"imports": ["numpy"], "cut": ["imports"]}, None),
        ({"imports": ["numpy"], "cut": ["places"]}, {"numpy"}),
        ({"unread": "RecursionError"}, None),
        ({"syntax": "invalid"}, None),
        ([], None),
    ],
)
def test_what_a_text_may_import_is_told_or_taken_for_everything(facts: object, expected: set[str] | None) -> None:
    found = possible_imports(parse_report(json.dumps(facts).encode()))
    assert (None if found is None else {name.partition(".")[0] for name in found}) == expected


def test_how_long_a_file_takes_to_end_where_it_was_checked_is_known(
    flagship: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = SimpleNamespace(dying_cpu_s=0.0, asking_left_s=None)

    @contextlib.contextmanager
    def warm(*_: Any, **__: Any) -> Iterator[Any]:
        yield sandbox
        sandbox.dying_cpu_s = 60.0

    monkeypatch.setattr(probes_module, "warm_sandbox", warm)
    for report in (b"{}", None):
        monkeypatch.setattr(probes_module, "_parse", lambda *_, report=report: report)
        monkeypatch.setattr(probes_module, "_call_components", lambda *given: Inspection(given[-1]))
        spec: Any = SimpleNamespace(task=flagship)
        found = probes_module.inspect_file(cast(Any, None), spec, b"", (), cpuset="0", time=ProbingTime())
        assert found == Inspection(report, dying_cpu_s=60.0)
        sandbox.dying_cpu_s = 0.0
