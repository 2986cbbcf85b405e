"""A job goes on with the agent that it began with: its files are found again, and one that changed is refused."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.budget.clock import SystemClock
from runner.budget.ledger import Ledger
from runner.faults import UsageFault
from runner.job import assembly
from runner.job.agent_files import files_entry, with_files
from runner.job.agents import set_up_agent
from runner.job.resume import Remains
from runner.records.events import AT, KIND, TurnEvent, event_to_json
from runner.records.run import JobConfig
from runner.settings import Settings
from runner.tasks.task import Task

MODEL = {"model": "claude-sonnet-5-5", "price": "3/15", "max_tokens": 1000, "context_tokens": 1000}
AGENT = "class Agent:\n    def act(self, observation):\n        raise NotImplementedError\n"
TURN = json.dumps({KIND: "turn", AT: "now", **event_to_json(TurnEvent(turn=1, say="done"))}) + "\n"


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything of a job but its agent."""
    image = SimpleNamespace(id="sha256:1", reference="r")
    monkeypatch.setattr(assembly, "build_spec", lambda *rest: (None, image))
    monkeypatch.setattr(assembly, "lock_record", lambda *rest: {"image": {"id": image.id}})
    for name in ("build_rules", "Fleet", "sweep", "build_context", "on_host", "bill_of_materials"):
        monkeypatch.setattr(assembly, name, lambda *rest: None)


def lock_of(config: JobConfig, task: Task, before: Any = None) -> Any:
    """The lock of a job, or of one that goes on with the lock of before, as it is read from its file."""
    settings = Settings(anthropic_api_key="k")  # type: ignore[arg-type]
    agent = set_up_agent(config, settings, task, Ledger(1.0), SystemClock(), print)
    remains = Remains(config=config, lock=before) if before is not None else None
    made = assembly.assemble(settings, None, task, config, agent, print, print, remains)  # type: ignore[arg-type]
    return json.loads(json.dumps(made.lock))


def config_of(kind: str, path: Path, task: Task) -> JobConfig:
    """A job whose agent is made of the file of that path."""
    more: dict[str, Any] = {
        "prompt": {"agent": "model", "system_prompt": str(path), **MODEL},
        "upload": {"agent": "command", "command": "sh", "uploads": (str(path),), **MODEL},
        "theirs": {"agent": f"{path}:Agent"},
        "replay": {"agent": f"replay:{path}"},
    }[kind]
    return JobConfig(task=task.name, task_digest=task.digest, scale="small", runs=1, name="j", **more)


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("prompt", "prompt.md", "its system prompt"),
        ("upload", "tool.py", "a file of --upload"),
        ("theirs", "their_agent.py", "its file"),
        ("replay", "transcript.jsonl", "the transcripts that are replayed"),
    ],
)
@pytest.mark.usefixtures("parts")
def test_a_job_does_not_go_on_with_another_agent_than_it_began_with(
    nbody: Task, tmp_path: Path, kind: str, name: str, words: str
) -> None:
    path = tmp_path / name
    path.write_text({"theirs": AGENT, "replay": TURN}.get(kind, ""))
    config = config_of(kind, path, nbody)
    before = lock_of(config, nbody)
    assert lock_of(config, nbody, before) == before
    path.write_text(path.read_text() + "\n")
    with pytest.raises(UsageFault, match=f"has changed since the job began: {words} ") as fault:
        lock_of(config, nbody, before)
    assert "put back" in fault.value.hint


@pytest.mark.parametrize("agent", [{}, {"name": "model"}, None, 5])
@pytest.mark.usefixtures("parts")
def test_what_an_older_jobs_lock_does_not_say_of_its_agent_is_not_compared(
    nbody: Task, tmp_path: Path, agent: object
) -> None:
    (tmp_path / "prompt.md").write_text("be careful")
    before = {"image": {"id": "sha256:1"}, "agent": agent}
    assert lock_of(config_of("prompt", tmp_path / "prompt.md", nbody), nbody, before) == before


@pytest.mark.parametrize("kind", ["prompt", "upload", "theirs", "replay"])
def test_a_job_that_goes_on_from_another_folder_takes_the_files_that_it_began_with(
    nbody: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file.py").write_text(folder)
    typed = config_of(kind, Path("file.py"), nbody)
    monkeypatch.chdir(tmp_path / "first")
    recorded = json.loads(json.dumps(files_entry(typed)))
    monkeypatch.chdir(tmp_path / "second")
    assert with_files(typed, recorded) == config_of(kind, tmp_path / "first" / "file.py", nbody)
    (tmp_path / "first" / "file.py").unlink()
    assert with_files(typed, recorded) == typed


def test_a_replayed_link_is_followed_when_the_job_begins(nbody: Task, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "latest").symlink_to("one")
    assert files_entry(config_of("replay", tmp_path / "latest", nbody)) == {"agent": f"replay:{tmp_path / 'one'}"}


@pytest.mark.parametrize(
    "recorded", [{}, {"agent": 5, "system_prompt": [], "uploads": "x"}, {"uploads": [5]}, {"uploads": ["/", "/"]}]
)
@pytest.mark.parametrize("kind", ["prompt", "upload", "theirs", "replay"])
def test_a_record_of_another_form_leaves_the_paths_as_they_were_typed(nbody: Task, kind: str, recorded: Any) -> None:
    typed = config_of(kind, Path("file.py"), nbody)
    assert with_files(typed, recorded) == typed


def test_an_agent_without_files_has_none_to_record() -> None:
    assert files_entry(JobConfig(task="t", agent="scripted", name="j")) == {}
