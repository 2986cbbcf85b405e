"""The page of a job: its order, its form, its size, and what it says where something is missing."""

import base64
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.records.outcome import OutcomeKind
from runner.report.analysis.targets import TargetRange
from runner.report.html.page import MIB, bytes_max
from tests.builders import make_grading, make_run, make_ungraded
from tests.report.html.pages import page_text, read_page
from tests.report.synthetic_jobs import make_analysis, make_config, make_events, make_measured, make_runs, write_job

SECTIONS = ["verdicts", "speed", "target", "strategies", "similarity", "samples", "effort", "runs", "again"]


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of ten runs of which all is there."""
    runs, config = make_runs(count=10, families=2), make_config()
    folder = tmp_path_factory.mktemp("jobs") / "ten"
    return page_text(write_job(folder, runs=runs, config=config, analysis=make_analysis(config, runs, families=2)))


def test_the_sections_stand_in_their_order_and_each_is_linked(ten: str) -> None:
    page = read_page(ten)
    assert [name for name in page.ids if name in SECTIONS] == SECTIONS
    assert [link for link in page.values["href"] if link.startswith("#run-") or link[1:] in SECTIONS][:9] == [
        f"#{name}" for name in SECTIONS
    ]


def test_every_tag_is_closed_and_every_name_is_there_once(ten: str) -> None:
    page = read_page(ten)
    assert page.wrong == [] and page.opened == []
    assert len(page.ids) == len(set(page.ids)) > 20
    assert {link[1:] for link in page.values["href"]} <= set(page.ids)
    named = {name for value in page.values["aria-labelledby"] for name in value.split()}
    assert named <= set(page.ids)
    labels = page.values["aria-label"]
    assert len(labels) == len(set(labels))


def test_headings_go_down_one_step_at_a_time(ten: str) -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])", ten)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_every_table_has_a_caption_and_every_head_a_scope(ten: str) -> None:
    assert ten.count("<table") == ten.count("<caption") > 10
    assert re.findall(r"<th(?! scope=)[^e]", ten) == []


def test_every_figure_that_says_something_has_a_title_and_a_description(ten: str) -> None:
    figures = re.findall(r"<svg[^>]*>", ten)
    assert len([figure for figure in figures if 'role="img"' in figure and "aria-labelledby" in figure]) == 4
    assert all('role="img"' in figure or 'aria-hidden="true"' in figure for figure in figures)


def test_nothing_but_its_own_script_and_style_may_run_and_nothing_is_loaded(ten: str) -> None:
    page = read_page(ten)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', ten)
    (script,), (style,) = page.scripts, page.styles
    assert policy.split("; ") == [
        "default-src 'none'", f"style-src 'sha256-{_hash(style)}'", f"script-src 'sha256-{_hash(script)}'",
        "base-uri 'none'", "form-action 'none'",
    ]  # fmt: skip
    assert not page.attributes & {"src", "srcset", "style", "action", "data", "poster", "background"}
    assert [name for name in page.attributes if name.startswith("on") or ":" in name] == []
    assert all(link.startswith("#") for link in page.values["href"])
    assert not page.tags & {
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "video",
        "audio",
        "image",
        "use",
    }
    assert "url(" not in style and "@import" not in style and "http" not in style + script


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_every_value_that_a_style_gives_is_used_and_every_class_has_a_style(ten: str) -> None:
    style = "".join(read_page(ten).styles)
    colours = set(re.findall(r"(--[a-z]+):", style))
    assert colours and colours == set(re.findall(r"var\((--[a-z]+)\)", style))


def test_both_themes_set_every_colour(ten: str) -> None:
    style = "".join(read_page(ten).styles)
    light, dark = (set(re.findall(r"(--[a-z]+):", block)) for block in re.findall(r":root \{[^}]*\}", style)[:2])
    assert light - dark == {"--mono"} and dark <= light


def test_every_part_of_the_analysis_has_its_place(ten: str) -> None:
    words = read_page(ten).words
    for part in ("Pass rate", "Convergence", "distinct", "Best", "Near miss", "Shortest", "Most conservative",
                 "Not tried by any run", "Normalisation", "Groups", "too slow", "pass@k", "up to"):  # fmt: skip
        assert part in words, part
    assert "python -m runner run" not in words and "python -m runner --runs 10 --task slow_nbody" in words


def test_a_run_unfolds_to_its_checks_its_changes_and_its_transcript(ten: str) -> None:
    runs = ten.split('<details class="run"')[1:]
    assert len(runs) == 10
    graded = next(run for run in runs if "Changes against the starter" in run)
    assert "component-present:A" in graded and "<ins>" in graded and "<del>" in graded and "as in the starter" in graded
    assert "$ python3 try_1.py" in read_page(graded).words and "Turn 4" in graded


def test_what_was_measured_has_a_section_of_its_own_and_only_then(ten: str, tmp_path: Path) -> None:
    runs, config = make_runs(count=3), make_config(runs=3)
    analysis = make_analysis(config, runs, measured=make_measured())
    html = page_text(write_job(tmp_path / "j", runs=runs, config=config, analysis=analysis))
    page = read_page(html)
    assert "measured" in page.ids and page.wrong == [] and "measured" not in read_page(ten).ids
    for words in ("Run 3, best", "1.20 (95 %: 1.00 to 1.40)", "100 %", "the file without it is crashed: NameError: x",
                  "normalisation with gradients", "Not measured: it does not parse", "numpy.diff too slow 30.00x",
                  "The baseline, scale small", "A.forward", "not known, too few calls"):  # fmt: skip
        assert words in page.words.replace("\xa0", " "), words


def test_a_way_that_is_not_known_is_shown_and_a_part_that_is_absent_is_said(tmp_path: Path) -> None:
    runs, config = make_runs(count=14, families=3), make_config(runs=14)
    html = page_text(
        write_job(tmp_path / "j", runs=runs, config=config, analysis=make_analysis(config, runs, families=3))
    )
    words = read_page(html).words
    assert "no known way: run 2 def gradients(image): return <image>" in words and "Not there at all" in words


# Sizes


@pytest.mark.parametrize(("runs", "mib"), [(1, 2), (10, 2), (200, 10), (1000, 10)])
def test_a_page_is_held_to_a_size(runs: int, mib: int) -> None:
    assert bytes_max(runs) == mib * MIB


@pytest.mark.slow
def test_ten_runs_of_endless_talk_stay_within_two_mebibytes_and_say_where_the_whole_is(tmp_path: Path) -> None:
    runs = make_runs(count=10)
    endless = {
        run.number: make_events(
            run.number, turns=60, output="<&>'\" \x1b\u202e" * 2000 + "\n" * 50, say="<b>\u2066&" * 3000
        )
        for run in runs
    }
    sources = {run.number: b"'<\xff\xe2\x80\xae&>'\n" * 20_000 for run in runs}
    html = page_text(write_job(tmp_path / "j", runs=runs, transcripts=endless, sources=sources))
    size = len(html.encode())
    assert bytes_max(10) // 2 < size <= bytes_max(10)
    for run in runs:
        assert f"<code>run_{run.number}/transcript.jsonl</code>" in html
        assert run.submission is None or f"<code>run_{run.number}/fast.py</code>" in html


@pytest.mark.slow
def test_a_line_of_ten_megabytes_costs_a_line(tmp_path: Path) -> None:
    (run,) = make_runs(count=1, seed=1)
    assert run.submission is not None
    ten_megabytes = "<script>" + "\u202e" * 10_000_000
    folder = write_job(
        tmp_path / "j",
        runs=[run],
        transcripts={1: make_events(1, turns=1, output=ten_megabytes, say=ten_megabytes)},
        sources={1: ten_megabytes[:1_000_000].encode()},
    )
    html = page_text(folder)
    assert len(html.encode()) < 200_000 and html.count("more characters") >= 2
    assert "&lt;script&gt;\\u202e\\u202e" in html and "<script>\\u202e" not in html and "\u202e" not in html


# What is missing


def test_an_empty_job_says_so(tmp_path: Path) -> None:
    write_job(tmp_path / "j", config=make_config(runs=3))
    page = read_page(page_text(tmp_path / "j"))
    assert "There is no run." in page.words and "no run has an outcome" in page.words and page.wrong == []


def test_a_job_that_was_killed_before_its_first_verdict_shows_its_transcripts(tmp_path: Path) -> None:
    folder = write_job(tmp_path / "j", runs=make_runs(count=2))
    (folder / "results.json").unlink()
    words = read_page(page_text(folder)).words
    assert "no run has an outcome" in words and "no verdict yet" in words and "$ python3 try_1.py" in words


def test_results_that_are_cut_off_cost_the_outcomes_and_nothing_else(tmp_path: Path) -> None:
    folder = write_job(tmp_path / "j", runs=make_runs(count=2))
    whole = (folder / "results.json").read_text()
    (folder / "results.json").write_text(whole[: len(whole) // 2])
    words = read_page(page_text(folder)).words
    assert "outcomes: " in words and "results.json cannot be read" in words and "$ python3 try_1.py" in words
    assert "20.10" in words and "python -m runner --runs 2" in words


def test_one_spoiled_run_costs_its_own_outcome(tmp_path: Path) -> None:
    folder = write_job(tmp_path / "j", runs=make_runs(count=3))
    results = json.loads((folder / "results.json").read_text())
    results["runs"][0]["outcome"] = "marvellous"
    (folder / "results.json").write_text(json.dumps(results))
    words = read_page(page_text(folder)).words
    assert "run 1 cannot be read" in words and "Run 3" in words


@pytest.mark.parametrize("lost", ["transcript.jsonl", "fast.py"])
def test_a_lost_file_is_said_with_the_job_and_with_its_run(tmp_path: Path, lost: str) -> None:
    runs = make_runs(count=2, seed=1)
    folder = write_job(tmp_path / "j", runs=runs)
    (folder / "run_2" / lost).unlink()
    html = page_text(folder)
    words = read_page(html.split('id="run-2"')[1]).words
    assert "Missing: " in words and "Missing: " not in read_page(html.split('id="run-2"')[0]).words
    assert "run 2 is" in read_page(html).words


def test_without_the_task_a_submission_is_shown_whole(tmp_path: Path) -> None:
    folder = write_job(tmp_path / "j", runs=make_runs(count=1, seed=1))
    html = page_text(folder, starter=None)
    assert "<h4>Submission</h4>" in html and "<ins>" not in html and "value_199" in html


def test_without_an_analysis_the_rest_is_there_and_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    words = read_page(page_text(write_job(tmp_path / "j", runs=make_runs(count=3)))).words
    assert "there is no analysis.json (`python -m runner analyze` compares them)" in words
    assert "Not known: there is no analysis.json" in words and "Why runs did not pass" in words


def test_an_analysis_of_other_verdicts_is_not_used(tmp_path: Path) -> None:
    runs, config = make_runs(count=4), make_config(runs=4)
    old = make_analysis(config, [make_ungraded(number) for number in range(1, 5)])
    words = read_page(page_text(write_job(tmp_path / "j", runs=runs, config=config, analysis=old))).words
    assert "analysis.json is of other verdicts or speeds than these" in words and "no submission 4" not in words


def test_an_analysis_of_other_speeds_is_not_used_though_the_verdicts_are_the_same(tmp_path: Path) -> None:
    runs, config = make_runs(count=4), make_config(runs=4)
    folder = write_job(tmp_path / "j", runs=runs, config=config, analysis=make_analysis(config, runs))
    assert "analysis.json is of other verdicts" not in read_page(page_text(folder)).words
    results = json.loads((folder / "results.json").read_text())
    results["runs"][3]["speedup"]["low"] *= 0.99
    (folder / "results.json").write_text(json.dumps(results))
    assert "analysis.json is of other verdicts" in read_page(page_text(folder)).words


CHANGED: dict[str, Callable[[dict[str, Any]], object]] = {
    "runs": lambda found: found["runs"].append(99),
    "no-groups": lambda found: found.update(groups=[]),
    "run-twice": lambda found: found["groups"].append(found["groups"][0]),
    "short-row": lambda found: found["similarity"][1].pop(),
    "no-row": lambda found: found["similarity"].pop(),
    "above-one": lambda found: found["similarity"][1].__setitem__(0, 1e308),
    "under-zero": lambda found: found["similarity"][1].__setitem__(0, -1.0),
    "no-number": lambda found: found["similarity"][1].__setitem__(0, float("nan")),
    "mean": lambda found: found.update(mean=float("inf")),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED.keys())
def test_an_analysis_whose_figures_do_not_belong_together_costs_what_it_says_alone(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    runs, config = make_runs(count=4), make_config(runs=4)
    folder = write_job(tmp_path / "j", runs=runs, config=config, analysis=make_analysis(config, runs))
    kept = json.loads((folder / "analysis.json").read_text())
    change(kept["convergence"])
    (folder / "analysis.json").write_text(json.dumps(kept))
    assert "analysis.json does not have its form: convergence" in read_page(page_text(folder)).words


@pytest.mark.slow
@pytest.mark.parametrize("spoiled", ["", "{", "[]", '{"schema": 1}', "\xff", "[" * 100_000, "[" + "9" * 400 + "]"])
def test_a_spoiled_analysis_costs_what_it_says_alone(tmp_path: Path, spoiled: str) -> None:
    folder = write_job(tmp_path / "j", runs=make_runs(count=2))
    (folder / "analysis.json").write_bytes(spoiled.encode("latin-1"))
    assert "analysis.json does not have its form" in read_page(page_text(folder)).words


@pytest.mark.parametrize("name", ["analysis.json", "run_1/fast.py"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    folder = write_job(tmp_path / "j", runs=make_runs(count=2))
    path = folder / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert "it is not a regular file" in read_page(page_text(folder)).words


@pytest.mark.parametrize("outcomes", [True, False])
def test_a_transcript_that_cannot_be_read_costs_what_it_says_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcomes: bool
) -> None:
    folder = write_job(tmp_path / "j", runs=make_runs(count=2))
    if not outcomes:
        (folder / "results.json").unlink()

    def refused(path: Path, *rest: Any, **more: Any) -> Any:
        if path.name == "transcript.jsonl" and path.parent.name == "run_1":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *rest, **more)

    opened = Path.open
    monkeypatch.setattr(Path, "open", refused)
    words = read_page(page_text(folder)).words
    assert "run_1/transcript.jsonl cannot be read: Permission denied" in words and "try_1.py" in words
    assert "how the episode of run 1 went" in words


@pytest.mark.slow
def test_a_range_of_targets_with_one_end_is_not_shown_as_one(tmp_path: Path) -> None:
    runs, config = make_runs(count=4), make_config(runs=4)
    analysis = make_analysis(config, runs)
    odd = replace(analysis, wanted_range=TargetRange(low=None, high=2.0, reason="no such range"))
    words = read_page(page_text(write_job(tmp_path / "j", runs=runs, config=config, analysis=odd))).words
    assert "no such range" in words


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind.value for kind in OutcomeKind])
def test_every_outcome_has_its_words_and_its_mark(tmp_path: Path, kind: str) -> None:
    run = make_run(1, make_grading(kind))
    words = read_page(page_text(write_job(tmp_path / "j", runs=[run]))).words
    assert re.search(rf"[✓✗?] {kind.replace('_', ' ')}", words)


def test_a_task_of_quality_alone_has_no_target(tmp_path: Path) -> None:
    runs, config = make_runs(count=3), make_config(runs=3, target=None)
    page = read_page(page_text(write_job(tmp_path / "j", runs=runs, config=config)))
    assert "quality alone counts" in page.words and page.wrong == []


def test_a_job_of_an_earlier_version_has_its_page(project: Path, tmp_path: Path) -> None:
    for name in ("schema_1", "flagship"):
        shutil.copytree(project / "tests" / "old_jobs" / name, tmp_path / name)
        page = read_page(page_text(tmp_path / name))
        assert page.wrong == [] and "Verdicts" in page.words
