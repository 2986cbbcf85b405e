"""What an import writes, without an engine: whatever a task's texts hold, the folder is a task that says the same."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from runner.bridges import harbor_import
from runner.bridges.harbor_import import Imported, import_task
from runner.bridges.harbor_task import NotOurs, read_harbor_task
from runner.faults import TaskFault
from runner.sandbox.engine import Engine
from runner.settings import Settings
from tests.bridges.harbor_examples import SEPARATE, SHARED, STEPS, write

ODD = "a\"b'c\\d\ne\t]f #${x} \x7f é \u2028"


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image is there, and each that is to be made is made at once."""
    monkeypatch.setattr(harbor_import, "has_image", lambda engine, reference: True)
    monkeypatch.setattr(harbor_import, "working_folder", lambda engine, reference: "/app")
    monkeypatch.setattr(harbor_import, "build_foreign", lambda engine, name, *_, **__: f"{name}:1")
    monkeypatch.setattr(harbor_import, "add_layer", lambda engine, name, *_: f"{name}:2")


def made(source: Path, folder: Path, *, network: bool = False) -> Imported:
    task = read_harbor_task(source)
    return import_task(cast(Engine, None), task, folder, source, {}, Settings(), lambda said: None, network=network)


def test_odd_texts_come_back_as_they_were(tmp_path: Path) -> None:
    source = write(tmp_path / "source", SHARED)
    toml = source / "task.toml"
    quoted = json.dumps(ODD, ensure_ascii=False).replace("\x7f", "\\u007f").replace("${x}", "${x:-${}")
    toml.write_text(
        toml.read_text() + f"\n[environment.env]\nA = {quoted}\n{quoted} = 'b'\n[task]\ndescription = {quoted}\n"
    )
    task = made(source, tmp_path / "made").task
    assert task.file.image.env["A"] == ODD.replace("${x}", "${") and "b" in task.file.image.env.values()


@pytest.mark.parametrize("files", [SHARED, SEPARATE, STEPS])
def test_names_that_are_not_utf_8_beside_a_task_are_counted_like_others(tmp_path: Path, files: Any) -> None:
    source = write(tmp_path / "source", files)
    (source / "caf\udce9").write_text("x")
    assert made(source, tmp_path / "made").task.steps


def test_what_is_no_task_of_ours_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harbor_import, "_task_toml", lambda *_: "broken [")
    with pytest.raises(TaskFault, match="not valid TOML"):
        made(write(tmp_path / "source", SHARED), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_nothing_is_fetched_by_the_engine_without_a_network(tmp_path: Path) -> None:
    files = {**SEPARATE, "environment/Dockerfile": "FROM a\nADD http://127.0.0.1/x /app/\n"}
    source = write(tmp_path / "source", files)
    with pytest.raises(NotOurs, match="have the engine fetch"):
        made(source, tmp_path / "made")
    assert made(source, tmp_path / "made", network=True).task.steps


def test_an_import_that_is_stopped_leaves_no_half_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*given: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(harbor_import, "_task_toml", stopped)
    with pytest.raises(KeyboardInterrupt):
        made(write(tmp_path / "source", STEPS), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_what_makes_a_task_of_an_imported_folder_is_written_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.rmtree", lambda *given, **named: None)  # as after a kill
    monkeypatch.setattr(harbor_import, "_task_toml", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        made(write(tmp_path / "source", STEPS), tmp_path / "made")
    assert (tmp_path / "made" / "imported.json").exists() and not (tmp_path / "made" / "task.toml").exists()
