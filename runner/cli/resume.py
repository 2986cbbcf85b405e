"""`python -m runner --resume JOB`: what is there of the job, held and checked before anything starts."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from runner.cli.options import RunOptions
from runner.cli.resolve import check_resume_flags, resumed_settings
from runner.faults import UsageFault
from runner.job.agents import MODEL, RecordedAnswers, kind_of
from runner.job.resume import Remains, answers_so_far, read_remains
from runner.job.setup import load_task
from runner.records.run import JobConfig
from runner.settings import Settings
from runner.store.job_folder import JobFolder, reopen_job_folder
from runner.store.jobs import SUCH_AS
from runner.tasks.task import Task

# What a job's folder holds from its first moment on; `output` itself, say, holds none of them.
OF_A_JOB = ("job.json", "journal.jsonl", "results.json", "lock.json", "job.log", "run_1")


@dataclass(frozen=True, slots=True)
class ResumedJob:
    """A job that is to be continued.

    Attributes:
        settings: with what its configuration says of them.
        recorded: a model's answers that are repeated, by number of the run.
    """

    folder: JobFolder
    remains: Remains
    task: Task
    settings: Settings
    recorded: RecordedAnswers

    @property
    def config(self) -> JobConfig:
        """What was asked for."""
        return self.remains.config


@contextlib.contextmanager
def open_resumed(settings: Settings, options: RunOptions) -> Iterator[ResumedJob]:
    """The job of `--resume`; its folder is held meanwhile.

    Raises:
        UsageFault: there is no such job, another runner works on it, it cannot be read, its task has changed, or a flag
            would change its runs.
    """
    given = options.resume
    assert given is not None
    check_resume_flags(options.given)
    path = next((path for path in (given, settings.output / given) if path.is_dir()), None)
    if path is None or not any((path / name).exists() for name in OF_A_JOB):
        raise UsageFault(cause=f"{given} is not the folder of a job", hint=SUCH_AS)
    with contextlib.closing(reopen_job_folder(path)) as folder:
        remains = read_remains(folder)
        task = _task(settings, options, remains)
        recorded = _recorded(folder, remains) if options.resume_episodes else {}
        yield ResumedJob(folder, remains, task, resumed_settings(settings, remains.config), recorded)


def _recorded(folder: JobFolder, remains: Remains) -> RecordedAnswers:
    kind = kind_of(remains.config.agent)
    if kind != MODEL:
        raise UsageFault(
            cause=f"--resume-episodes has no meaning for --agent {kind}",
            hint="leave it out: the interrupted episodes of this agent start over",
        )
    return answers_so_far(folder, remains)


def _task(settings: Settings, options: RunOptions, remains: Remains) -> Task:
    recorded = remains.task_folder
    where = str(recorded) if recorded is not None and recorded.is_dir() else remains.config.task
    task = load_task(settings, options.task.task if "task" in options.given else where)
    if task.digest != remains.config.task_digest:
        raise UsageFault(
            cause=f"task {task.name} in {task.folder} has changed since the job began",
            hint="put back what was there (--task names another folder), or start a new job",
        )
    return task
