"""Finding the task of a job that is over: its texts where it was played from, its code only where the user says so."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from runner.faults import TaskFault
from runner.job.pages import starter_of
from runner.job.played_task import recorded_task_folder, task_to_read, task_to_run
from runner.job.resume import begun_entry
from runner.records.run import JobConfig
from runner.settings import Settings
from runner.store.job_folder import open_job_folder
from runner.store.jobs import StoredJob
from runner.store.journal import EntryKind
from runner.tasks.starter import write_starter
from runner.tasks.task import Task, read_task


@pytest.fixture
def mine(tmp_path: Path) -> Task:
    """A task that lies where no name leads to."""
    write_starter(tmp_path / "elsewhere" / "mine", "python")
    return read_task(tmp_path / "elsewhere" / "mine")


@pytest.fixture
def job(tmp_path: Path, mine: Task) -> StoredJob:
    """The job that was played from it."""
    config = JobConfig(name="job", task=mine.name, task_digest=mine.digest)
    folder = open_job_folder(tmp_path / "output", "job")
    folder.journal.append(EntryKind.BEGUN, begun_entry(config, mine.folder), "now")
    folder.close()
    return StoredJob(name="job", folder=folder.path, config=config, totals=None, lock={}, runs={}, transcripts={})


def config_of(job: StoredJob) -> JobConfig:
    assert job.config is not None
    return job.config


def test_what_is_compared_is_read_where_the_job_was_played_from(job: StoredJob, mine: Task) -> None:
    recorded = recorded_task_folder(job.folder)
    assert recorded == mine.folder and task_to_read(Settings(), config_of(job), recorded).folder == mine.folder
    starter = starter_of(Settings(), job)
    assert starter.source == mine.baseline and not starter.note


def test_a_task_that_changed_where_it_lies_is_compared_with_and_that_is_said(job: StoredJob, mine: Task) -> None:
    (mine.folder / "instruction.md").write_text("now something else")
    starter = starter_of(Settings(), job)
    assert starter.source == mine.baseline and "has changed since" in starter.note


def test_a_folder_that_holds_another_task_by_now_is_not_taken_for_it(job: StoredJob, mine: Task) -> None:
    toml = mine.folder / "task.toml"
    toml.write_text(toml.read_text().replace(f'name = "{mine.name}"', 'name = "another"'))
    with pytest.raises(TaskFault, match=f"there is no task '{mine.name}'"):
        task_to_read(Settings(), config_of(job), recorded_task_folder(job.folder))


def test_where_the_folder_is_gone_the_name_leads_to_the_task(job: StoredJob, mine: Task, tmp_path: Path) -> None:
    shutil.move(mine.folder, tmp_path / "tasks" / mine.name)
    found = task_to_read(Settings(tasks=tmp_path / "tasks"), config_of(job), recorded_task_folder(job.folder))
    assert found.folder == (tmp_path / "tasks" / mine.name)


def test_no_code_is_loaded_from_a_folder_that_only_a_record_names(job: StoredJob, mine: Task) -> None:
    recorded = recorded_task_folder(job.folder)
    with pytest.raises(TaskFault, match="there is no task") as fault:
        task_to_run(Settings(), "", config_of(job), recorded)
    assert fault.value.hint == f"the job was played from another folder: give --task {mine.folder}"
    assert task_to_run(Settings(), str(mine.folder), config_of(job), recorded).digest == mine.digest


@pytest.mark.parametrize("content", [{}, {"task": 3}, {"task": "relative/to/whom"}, None])
def test_a_journal_that_names_no_folder_costs_nothing(tmp_path: Path, job: StoredJob, content: object) -> None:
    folder = open_job_folder(tmp_path / "output", "old")
    if isinstance(content, dict):
        folder.journal.append(EntryKind.BEGUN, content, "now")
    folder.close()
    assert recorded_task_folder(folder.path) is None
    assert starter_of(Settings(), replace(job, folder=folder.path)).note.startswith(
        "the starter file: there is no task"
    )


def test_a_pipe_in_the_place_of_the_journal_is_not_waited_for(job: StoredJob) -> None:
    (job.folder / "journal.jsonl").unlink()
    os.mkfifo(job.folder / "journal.jsonl")
    assert recorded_task_folder(job.folder) is None
