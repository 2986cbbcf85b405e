"""`python -m runner --ray ADDRESS`: the main job on several hosts; this machine only drives it."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace

import runner
from runner.budget.clock import Clock
from runner.cli.exit_codes import OK
from runner.cli.hosts_flags import check_fits_hosts
from runner.cli.job_end import Show, finish
from runner.cli.option_groups import HostsOptions
from runner.cli.options import RunOptions
from runner.cli.resolve import resolve, resumed_config
from runner.cli.resume import open_resumed
from runner.hosts.driver import HostsJob
from runner.hosts.ray_cluster import RayCluster
from runner.hosts.task_archive import pack_task
from runner.job.agents import WITH_MODEL, kind_of
from runner.job.assembly import note_begun
from runner.job.resume import Remains
from runner.job.setup import load_task
from runner.records.run import JobConfig, Run
from runner.report.console import Console
from runner.report.progress import Progress
from runner.settings import Settings
from runner.store.job_folder import JobFolder, check_new_folder, open_job_folder, open_next_job_folder
from runner.store.log import job_log
from runner.tasks.problem import check_repeats, load_problem
from runner.tasks.task import Task


def run_on_hosts(settings: Settings, options: RunOptions, clock: Clock) -> int:
    """Play the runs on the hosts of a cluster; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    if options.resume is not None:
        with open_resumed(settings, options) as resumed:
            check_fits_hosts(options.given, resumed.config.agent)
            config = resumed_config(options, resumed.config)
            return _drive(settings, options, resumed.task, config, resumed.folder, resumed.remains)
    task = load_task(settings, options.task.task)
    config = resolve(options, settings, task, clock.now())
    check_fits_hosts(options.given, config.agent)
    check_new_folder(settings.output, config.name) if options.name else None
    check_repeats(load_problem(task), task)
    return _drive(settings, options, task, config, None, None)


@contextlib.contextmanager
def joined(
    settings: Settings, options: HostsOptions, dollars_max: float | None, spent: float = 0.0
) -> Iterator[RayCluster]:
    """The cluster of `--ray`, while it is used.

    Raises:
        Fault: it cannot be joined.
    """
    with contextlib.closing(RayCluster(options.ray, dollars_max, spent, settings.ray_auth_mode)) as cluster:
        yield cluster


def key_of(config: JobConfig) -> str:
    """The vendor of whom a host must have a key; empty: none."""
    return config.api if kind_of(config.agent) in WITH_MODEL else ""


def _drive(
    settings: Settings, options: RunOptions, task: Task, config: JobConfig, folder: JobFolder | None,
    remains: Remains | None,
) -> int:  # fmt: skip
    archive, spent = pack_task(task), remains.dollars if remains is not None else 0.0
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress(quiet=options.show.quiet))
        cluster = stack.enter_context(joined(settings, options.several, config.dollars_max, spent))
        if options.dry_run:
            names = ", ".join(sorted(host.name for host in cluster.hosts())) or "none"
            print(f"task: {task.folder}\nhosts: {names}\noutput: {settings.output}")
            return OK
        if not options.show.quiet:
            cap = f", at most ${config.dollars_max:.2f}" if config.dollars_max is not None else ""
            print(f"{config.runs} runs of {config.task} on the hosts at {options.several.ray}{cap}", file=sys.stderr)
        if folder is None:
            make = open_job_folder if options.name else open_next_job_folder
            folder = stack.enter_context(contextlib.closing(make(settings.output, config.name)))
            config = replace(config, name=folder.path.name)
            folder.write_json("job.json", asdict(config))
        note_begun(folder, config, task.folder)
        log = stack.enter_context(job_log(folder.path, settings.log_level))
        console = Console(
            sys.stderr if options.show.json else sys.stdout, task.file.quality.name, target=config.target,
            verbose=options.report.verbose, snapshots=config.grade_snapshots,
        )  # fmt: skip

        def say(text: str) -> None:
            progress.say(text)
            log.info("step", text=text)

        def report(run: Run) -> None:
            progress.finished(run)
            log.info("outcome", run=run.number, host=run.host, outcome=run.outcome.kind, reason=run.outcome.reason)
            if not options.show.json:
                console.run(run)

        progress.job(config)
        lock = dict(remains.lock) if remains is not None else {}
        lock |= {"runner": runner.__version__, "task": _about(task)}
        job = HostsJob(
            runner.__version__, config, cluster, archive, folder, lock, report, say, key=key_of(config),
            hosts_min=options.several.hosts, share=options.several.share, remains=remains,
        )  # fmt: skip
        return finish(job, console, Show(settings, options, task, (sys.stdout, sys.stderr)), folder)


def _about(task: Task) -> dict[str, str]:
    return {"name": task.name, "version": task.file.task.version, "sha256": task.digest}
