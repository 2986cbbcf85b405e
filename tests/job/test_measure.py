"""`analyze --measure`: whose files, at what cost, what is kept, and where it goes on after it was interrupted."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import pytest

from runner.faults import InfrastructureFault, Interrupted, UsageFault
from runner.job.measure import session as session_module
from runner.job.measure.ablation import Variants, single_variants
from runner.job.measure.bench import Bench, Subject, solved_elsewhere, unit_definitions
from runner.job.measure.missed import missed_ways
from runner.job.measure.plan import Cost, ablation_cost, baseline_seconds, chosen_runs, title_of, untaken_ways
from runner.job.measure.session import MeasuringSession, Wanted
from runner.job.measure.stored import ablation_of, read_measured
from runner.job.variants import Places
from runner.records.grading import Interval
from runner.records.measured import REST, Study
from runner.records.run import Run
from runner.report.analysis.measured import measured_lines, measured_section
from runner.store.jobs import StoredJob
from runner.store.measured import keep_measurement
from runner.tasks.strategies import Part
from runner.tasks.task import Task
from tests.builders import RULES, make_measured_run, make_ungraded
from tests.job.test_variants import BASELINE, BYTES_MAX, FAST, ask

PARTS = (
    Part.model_validate(
        {
            "name": "first",
            "definitions": ["Work.first"],
            "strategy": [
                {"id": "all", "title": "All at once", "patterns": ["f($X)"]},
                {
                    "id": "none",
                    "title": "Left out",
                    "patterns": ["g($X)"],
                    "donor": "class Work:\n    def first(self, values):\n        return values\n",
                },
            ],
        }
    ),
    Part.model_validate(
        {
            "name": "second",
            "definitions": ["Work.second"],
            "strategy": [{"id": "sort", "title": "Sorted", "patterns": ["h($X)"]}],
        }
    ),
)
SUBMISSION = FAST.replace(b"@np.vectorize\ndef helper(x):\n    return x\n", b"")


def speed(estimate: float) -> Interval:
    return Interval(estimate=estimate, low=estimate * 0.9, high=estimate * 1.1, confidence=0.97, rounds=3)


def runs_of_a_job() -> list[Run]:
    made = [
        ("passed", 40.0),
        ("passed", 90.0),
        ("too_slow", 20.0),
        ("unsafe", 99.0),
        ("too_slow", 30.0),
        ("passed", 35.0),
    ]
    return [make_measured_run(number, kind, speed(value)) for number, (kind, value) in enumerate(made, 1)]


# Whose files, and at what cost


def test_best_median_and_near_miss_are_found_each_once() -> None:
    runs = [*runs_of_a_job(), make_ungraded(7)]
    assert chosen_runs(runs, 33.0, ["best", "median", "near-miss"]) == {2: ("best",), 5: ("near-miss",), 6: ("median",)}
    assert chosen_runs(runs[:1], 33.0, ["best", "median", "near-miss", "1"]) == {1: ("best", "median")}
    assert chosen_runs([make_ungraded(7)], 33.0, ["best", "median", "near-miss"]) == {}
    assert title_of(1, ("best", "median")) == "run 1 (best, median)" and title_of(4, ()) == "run 4"


@pytest.mark.parametrize("name", ["worst", "0", "99", "-1", "²"])
def test_a_file_that_there_is_not_is_explained(name: str) -> None:
    with pytest.raises(UsageFault) as caught:
        chosen_runs(runs_of_a_job(), 33.0, [name])
    assert f"--of {name}" in caught.value.cause


def test_a_cost_is_said_in_minutes_where_the_baselines_time_is_known() -> None:
    assert baseline_seconds(runs_of_a_job()) == 15.0 and baseline_seconds([make_ungraded(1)]) is None
    cost = ablation_cost(3, 5, 100.0) + Cost(1.0, 1)
    assert 14.0 < cost.lengths < 15.0
    assert Cost().words(15.0) == "nothing"
    assert cost.words(None) == "15 times the baseline's run, 73 containers"
    assert cost.words(15.0) == "about 7 min (15 times the baseline's run, 73 containers)"


def test_a_way_is_missed_that_no_passed_run_took() -> None:
    taken = {1: {"first/all"}, 2: {"first/all", "second/sort"}, 4: {"first/none"}}
    found = untaken_ways(taken, runs_of_a_job(), ["first/all", "first/none", "second/sort", "second/other"])
    assert found == {"first/none": (4,), "second/other": ()}


def test_a_part_consists_of_what_the_task_says_or_of_where_its_patterns_are_found() -> None:
    unnamed = PARTS[0].model_copy(update={"definitions": []})
    places = Places(found={"first/all": ("Work.first", ""), "first/none": ("helper",), "second/sort": ("x",)})
    assert unit_definitions((unnamed, PARTS[1]), places) == {
        "first": ("Work.first", "helper"),
        "second": ("Work.second",),
    }


def test_parts_that_share_a_definition_are_put_back_together() -> None:
    parts = [PARTS[0].model_copy(update={"name": name, "definitions": names}) for name, names in
             (("a", ["train"]), ("b", ["run"]), ("c", ["train", "step"]), ("d", ["step"]))]  # fmt: skip
    assert unit_definitions(tuple(parts), Places()) == {"b": ("run",), "a + c + d": ("step", "train")}


def test_a_part_that_is_solved_elsewhere_is_not_put_back() -> None:
    definitions = {"first": ("Work.first",), "second": ("Work.second",)}
    uses = {"Work.first": ("helper",), "helper": (), "run": ("Work.first",), "Work.second": ()}
    for where, said in (("helper", ""), ("Work.first", ""), ("run", "first is solved in run, outside of")):
        places = Places(definitions=uses, found={"first/all": (where,)})
        why = solved_elsewhere("first", PARTS, places, definitions)
        assert why.startswith(said) and bool(why) == bool(said)


# On paper


def parser(head: Mapping[str, Any], body: bytes) -> Mapping[str, Any] | str:
    """The parser without ast-grep: nothing is found of any pattern."""
    from tests.job.test_variants import INSIDE

    if head["op"] == "swap":
        return ask(head, body)
    source = INSIDE["Source"](body)
    return {"definitions": INSIDE["uses_of"](source), "places": {}}


@pytest.fixture
def bench(nbody: Task) -> Bench:
    class PaperTask:
        """A task of two parts."""

        baseline, oracle, digest = BASELINE, FAST, "d"
        file = SimpleNamespace(submission=SimpleNamespace(max_bytes=BYTES_MAX), scales={"small": None, "full": None})

        def target(self, scale: str) -> float:
            return 10.0

    context: Any = SimpleNamespace(rules=RULES, spec=SimpleNamespace(image_id="i"))
    task: Any = PaperTask()
    definitions = {part.name: tuple(part.definitions) for part in PARTS}
    return Bench(
        task=task,
        scale="small",
        parts=PARTS,
        definitions=definitions,
        ask=parser,
        context=context,
        say=lambda text: None,
    )


def subject(number: int, content: bytes = SUBMISSION) -> Subject:
    return Subject(f"run {number}", number, content + b"# %d\n" % number, f"{number:012d}")


def test_each_part_and_the_rest_become_a_variant_of_the_file(bench: Bench) -> None:
    variants = single_variants(bench, subject(1))
    assert set(variants.contents) == {frozenset({"first"}), frozenset({"second"}), frozenset({REST})}
    assert variants.complete and variants.refused == {}
    assert b"sorted(values)" in variants.contents[frozenset({"second"})]
    rest = variants.contents[frozenset({REST})]
    assert b"_scaled" in rest and b"np.sort" in rest and rest.startswith(b'"""Slow."""')


def test_what_cannot_be_put_back_is_said_and_falls_to_the_rest(bench: Bench) -> None:
    content = SUBMISSION.replace(b"def second(self, values)", b"def other(self, values)").replace(b".second", b".other")
    variants = single_variants(bench, subject(1, content))
    assert variants.refused == {"second": "the file has no Work.second"} and variants.complete
    assert b"def second" in variants.contents[frozenset({REST})]


def test_a_missed_way_is_put_into_the_best_file(bench: Bench) -> None:
    [missed] = missed_ways(bench, subject(2), {"first/none": (4,), "second/sort": ()})
    assert missed.record.source == "donor" and missed.record.failed_runs == (4,) and missed.name == "first-none"
    assert missed.content is not None and b"def first(self, values):\n      return values" in missed.content
    [refused] = missed_ways(bench, subject(2, b"x = 1\n"), {"first/none": ()})
    assert refused.content is None and refused.record.reason == "the file has no Work.first"


class Paper:
    """Measures at once: a file takes 1 s, each of its parts saves what is said here; counts what it was asked for."""

    def __init__(self, saved: Mapping[frozenset[str], float]) -> None:
        self.saved, self.asked, self.fail = saved, [], {}  # type: ignore[var-annotated]

    def __call__(
        self, bench: Bench, subject: Subject, variants: Variants, rounds: int, *, samples: int | None = None
    ) -> dict[str, Any]:
        self.asked.append((subject.run, samples))
        if (error := self.fail.pop(len(self.asked), None)) is not None:
            raise error

        def times(subset: frozenset[str]) -> dict[str, float]:
            costs = sum(cost for parts, cost in self.saved.items() if parts <= subset)
            return {str(n): (1.0 + costs) * (1.0 + 0.01 * ((n * 7 + len(subset)) % 3)) for n in range(1, rounds + 1)}

        entry = {"outcome": "passed", "reason": "", "evidence": {}}
        return {
            "title": subject.title, "run": subject.run, "sha256": subject.sha256, "rounds": rounds,
            "definitions": {"first": ["Work.first"]}, "refused": {}, "complete": True,
            "baseline": times(frozenset({"first", "second", REST})), "file": {**entry, "times": times(frozenset())},
            "variants": [{**entry, "parts": sorted(s), "times": times(s)} for s in variants.contents],
        }  # fmt: skip


ALONE = {frozenset({"first"}): 8.0, frozenset({"second"}): 2.0, frozenset({REST}): 0.5}
TOGETHER = {**ALONE, frozenset({"first", "second"}): -1.5}


@pytest.fixture
def session(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[MeasuringSession, Paper]]:
    job = StoredJob(
        name="j", folder=tmp_path, config=None, totals=None, lock={}, runs={run.number: run for run in runs_of_a_job()},
        transcripts={},
    )  # fmt: skip

    def make(saved: Mapping[frozenset[str], float] = ALONE, **changes: Any) -> tuple[MeasuringSession, Paper]:
        paper = Paper(saved)
        monkeypatch.setattr(session_module, "measure_variants", paper)
        wanted = Wanted(of=("best",), studies=(Study.ABLATION,), rounds=4)
        subjects = (subject(2), subject(5), subject(6))
        return MeasuringSession(job, bench, replace(wanted, **changes), subjects, subjects[0]), paper

    return make


def test_what_is_measured_is_kept_and_not_measured_again(
    session: Callable[..., tuple[MeasuringSession, Paper]], tmp_path: Path
) -> None:
    first, paper = session()
    before = first.total()
    first.run()
    assert [run for run, _ in paper.asked] == [2, 5, 6] and first.total() == Cost() != before
    again, paper = session()
    again.run()
    assert paper.asked == []
    measured = read_measured(tmp_path)
    assert measured is not None and [ablation.run for ablation in measured.ablations] == [2, 5, 6]
    other, paper = session(rounds=5)
    other.run()
    assert len(paper.asked) == 3


def test_one_that_was_interrupted_goes_on_where_it_stopped(
    session: Callable[..., tuple[MeasuringSession, Paper]],
) -> None:
    first, paper = session()
    paper.fail[2] = Interrupted()
    with pytest.raises(Interrupted):
        first.run()
    again, paper = session()
    assert [kept for _, _, kept in again.plan()] == [True, False, False]
    again.run()
    assert [run for run, _ in paper.asked] == [5, 6]


def test_a_fault_of_the_host_costs_one_measurement_and_is_never_kept(
    session: Callable[..., tuple[MeasuringSession, Paper]],
) -> None:
    first, paper = session()
    paper.fail[1] = InfrastructureFault(cause="the engine is gone", hint="start it")
    first.run()
    assert [run for run, _ in paper.asked] == [2, 5, 6] and len(first.faults) == 1
    assert [kept for _, _, kept in first.plan()] == [False, True, True]


def test_pairs_are_measured_only_where_the_parts_do_not_add_up(
    session: Callable[..., tuple[MeasuringSession, Paper]], tmp_path: Path
) -> None:
    first, paper = session(TOGETHER)
    first.run()
    assert paper.asked == [(2, None), (2, 1), (5, None), (5, 1), (6, None), (6, 1)]
    measured = read_measured(tmp_path)
    assert measured is not None
    for ablation in measured.ablations:
        assert ablation.adds_up and ablation.whole is not None and ablation.remainder is not None
        strongest = min(ablation.interactions, key=lambda each: each.gain.value)
        assert strongest.parts == ("first", "second") and len(ablation.interactions) == 3
        terms = [part.gain.value for part in ablation.parts if part.gain is not None]
        terms += [each.gain.value for each in ablation.interactions] + [ablation.remainder.value]
        assert sum(terms) == pytest.approx(ablation.whole.value)


# What becomes of it


def content(**changes: Any) -> dict[str, Any]:
    made = Paper(ALONE)(
        None,  # type: ignore[arg-type]
        subject(2),
        Variants({frozenset({name}): b"" for name in ("first", "second", REST)}, {}, complete=True),
        4,
    )
    return {**made, **changes}


def test_a_variant_that_fails_is_said_to_and_the_rest_is_no_finding_then() -> None:
    made = content()
    made["variants"][2] = {**made["variants"][2], "times": {}, "outcome": "crashed", "reason": "NameError: \x1b[31m"}
    ablation = ablation_of({**made, "refused": {"third": "the file has no third"}})
    assert not ablation.complete and ablation.adds_up is None
    by_part = {part.part: part for part in ablation.parts}
    assert by_part[REST].outcome == "crashed" and by_part["third"].reason == "the file has no third"
    lines = "\n".join(measured_lines(read_only(ablation)))
    assert "the file without it is crashed: NameError" in lines and "\x1b" not in lines
    assert "What could not be put back, and what acts together" in lines


def read_only(ablation: Any) -> Any:
    from runner.records.measured import Measured

    return Measured(ablations=(ablation,))


def test_a_file_that_no_longer_runs_is_said_to() -> None:
    made = content()
    made["file"] = {**made["file"], "times": {}, "outcome": "crashed", "reason": "it broke"}
    ablation = ablation_of(made)
    assert ablation.whole is None and ablation.reason == "crashed: it broke"
    assert "not measured, crashed: it broke" in "\n".join(measured_section(read_only(ablation)))


def test_what_another_version_kept_is_left_out(tmp_path: Path) -> None:
    keep_measurement(tmp_path, "ablation-1", {}, {"title": "of another form"})
    keep_measurement(tmp_path, "ablation-2", {}, {**content(), "baseline": {"1": "a"}})
    keep_measurement(tmp_path, "missed-1", {}, {"record": {"part": "x"}})
    keep_measurement(tmp_path, "profile-1", {}, {})
    measured = read_measured(tmp_path)
    assert measured is not None and measured.ablations == measured.missed == measured.profiles == ()
    keep_measurement(tmp_path, "ablation-3", {}, content())
    measured = read_measured(tmp_path)
    assert measured is not None and len(measured.ablations) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"definitions": "x"}, {"definitions": {"first": ["a", 1]}}, {"title": ["a"]}, {"baseline": []}, {"refused": None},
        {"baseline": {"1": 1e308, "2": 1.0}}, {"file": {"times": {"1": 0.0, "2": 0.0}}},
        {"variants": [{"parts": [], "times": {"1": 1.0}}]},
    ],
)  # fmt: skip
def test_a_measurement_that_cannot_be_computed_with_is_left_out(tmp_path: Path, changes: dict[str, Any]) -> None:
    keep_measurement(tmp_path, "ablation-1", {}, content(**changes))
    measured = read_measured(tmp_path)
    assert measured is not None and measured.ablations == ()


@pytest.mark.parametrize(
    "changes", [{"samples": [1]}, {"size": 0}, {"size": -1}, {"seconds": [0.0, 1.0]}, {"shares": [{"a": -0.5}, {}]}, {}]
)
def test_a_profile_whose_calls_lack_figures_is_left_out(tmp_path: Path, changes: dict[str, Any]) -> None:
    whole = {
        "title": "t",
        "run": 1,
        "sha256": "0",
        "scale": "full",
        "size": 9,
        "seconds": [1.0, 2.0],
        "samples": [99, 99],
    }
    record = {**whole, "shares": [{"a": 0.5, "b": 0.0}, {"a": 1.0}]}
    keep_measurement(tmp_path, "profile-1", {}, {"record": {**record, "scale": "small", "size": 3}})
    keep_measurement(tmp_path, "profile-2", {}, {"record": {**record, **changes}})
    measured = read_measured(tmp_path)
    assert measured is not None and len(measured.profiles) == (1 if changes else 2)


def test_an_ablation_without_a_title_still_reads() -> None:
    assert "\n".join(measured_section(read_only(ablation_of(content(title="")))))


def test_an_ablation_reads_as_a_sum() -> None:
    ablation = ablation_of(content())
    lines = list(measured_lines(read_only(ablation)))
    assert lines[0].startswith("What each part of run 2 gave, of 11.5")
    assert any("First: " in line and "without it" in line for line in lines)
    assert any("They add up to the whole; left over: " in line for line in lines)
    section = "\n".join(measured_section(read_only(ablation)))
    assert "| everything else |" in section and "| first (Work.first) |" in section


def test_noise_that_hides_what_is_left_over_is_said() -> None:
    made = content()
    made["baseline"] = {
        number: seconds * (2.0 if int(number) % 2 else 0.6) for number, seconds in made["baseline"].items()
    }
    ablation = ablation_of(made)
    assert ablation.complete and ablation.remainder is not None and ablation.remainder.holds_zero
    assert ablation.adds_up is None
    assert any("Too few rounds, or too busy a host" in line for line in measured_lines(read_only(ablation)))


# On the engine

STRATEGIES = """
[[part]]
name = "forces"
definitions = ["accelerations"]
[[part.strategy]]
id = "all"
title = "All at once"
patterns = ["numpy.einsum($$$)"]
[[part.strategy]]
id = "none"
title = "No forces"
patterns = ["numpy.zeros_like($X)"]
donor = '''
import numpy as np
def accelerations(positions, masses):
    return np.zeros_like(np.asarray(positions))
'''

[[part]]
name = "steps"
definitions = ["simulate"]
[[part.strategy]]
id = "arrays"
title = "Whole arrays"
patterns = ["$S += 0.001 * $F"]
"""
FAST_NBODY = """
import numpy as np

SOFTENING = 1e-2


def accelerations(positions, masses):
    where = np.asarray(positions)
    apart = where[None, :, :] - where[:, None, :]
    square = np.einsum("ijk,ijk->ij", apart, apart) + SOFTENING
    return np.einsum("ijk,ij->ik", apart, np.asarray(masses) / square**1.5)


def simulate(positions, velocities, masses, steps):
    where, speed = positions.copy(), velocities.copy()
    for _ in range(steps):
        speed += 0.001 * np.asarray(accelerations(where, masses))
        where += 0.001 * speed
    return {"positions": where, "velocities": speed}
"""


@pytest.fixture
def small_job(project: Path, tmp_path: Path) -> Path:
    """A job whose best run is the file above, beside a task that names its parts."""
    shutil.copytree(project / "problem_data" / "slow_nbody", tmp_path / "tasks" / "slow_nbody")
    (tmp_path / "tasks" / "slow_nbody" / "strategies.toml").write_text(STRATEGIES)
    shutil.copytree(project / "tests" / "old_jobs" / "schema_1", tmp_path / "job")
    (tmp_path / "job" / "run_1" / "optimized_nbody.py").write_text(FAST_NBODY)
    results = json.loads((tmp_path / "job" / "results.json").read_text())
    results["runs"] = [results["runs"][0]]
    changed = results["runs"][0]["submission"]
    changed["sha256"] = hashlib.sha256(FAST_NBODY.encode()).hexdigest()
    changed["bytes"] = len(FAST_NBODY)
    (tmp_path / "job" / "results.json").write_text(json.dumps(results))
    return tmp_path / "job"


def test_a_file_is_taken_apart_on_the_engine(cli: Callable[..., CompletedProcess[str]], small_job: Path) -> None:
    tmp_path = small_job.parent
    command = ("analyze", "--measure", str(tmp_path / "job"), "--of", "1", "--rounds", "2", "--only", "ablation")
    done = cli(*command, env={"RUNNER_TASKS": str(tmp_path / "tasks")})
    assert done.returncode == 0, done.stderr
    assert "To be measured: about " in done.stdout and "Forces: " in done.stdout
    [ablation] = json.loads((tmp_path / "job" / "analysis.json").read_text())["measured"]["ablations"]
    gains = {part["part"]: part["gain"]["value"] for part in ablation["parts"]}
    assert set(gains) == {"forces", "steps", REST} and gains["forces"] > 1.0
    terms = [*gains.values(), *(each["gain"]["value"] for each in ablation["interactions"])]
    assert sum(terms) + ablation["remainder"]["value"] == pytest.approx(ablation["whole"]["value"])
    assert "## Measured" in (tmp_path / "job" / "analysis.md").read_text()

    again = cli(*command, "--dry-run", env={"RUNNER_TASKS": str(tmp_path / "tasks")})
    assert again.returncode == 0 and "measured before" in again.stdout and "To be measured: nothing" in again.stdout


def test_what_was_missed_and_where_time_goes_is_measured_on_the_engine(
    cli: Callable[..., CompletedProcess[str]], small_job: Path
) -> None:
    tasks = {"RUNNER_TASKS": str(small_job.parent / "tasks")}
    done = cli("analyze", "--measure", str(small_job), "--only", "missed", "--only", "profile", env=tasks)
    assert done.returncode == 0, done.stderr
    measured = json.loads((small_job / "analysis.json").read_text())["measured"]
    [missed] = measured["missed"]
    assert (missed["part"], missed["way"], missed["into"]) == ("forces", "none", 1)
    assert missed["outcome"] == "inaccurate", missed
    profiles = {(profile["title"], profile["scale"]): profile for profile in measured["profiles"]}
    assert set(profiles) == {
        (title, scale) for title in ("the baseline", "run 1 (best)") for scale in ("small", "full")
    }
    assert profiles["the baseline", "full"]["shares"][0]["forces"] > 0.5
    [growth] = [g for g in measured["growth"] if g["title"] == "the baseline" and g["part"] == "forces"]
    assert growth["exponent"]["value"] > 1.5, growth
