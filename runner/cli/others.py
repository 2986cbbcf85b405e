"""`grade` and `calibrate` with `--ray`: on the hosts of a cluster."""

import json
from collections.abc import Callable, Mapping

import runner
from runner.cli.exit_codes import INFRASTRUCTURE, OK
from runner.cli.options import CalibrateOptions, GradeOptions
from runner.cli.resolve import grading_config
from runner.cli.run_on_hosts import joined
from runner.cli.signals import interrupt_on_sigterm
from runner.hosts.calibrations import calibrate_hosts
from runner.hosts.driver import HostsJob
from runner.hosts.messages import Request
from runner.hosts.task_archive import pack_task
from runner.job.calibration import check_has_solution
from runner.job.resume import Remains
from runner.job.run_episode import NOT_GRADED, EndedEpisode
from runner.records.episode import Submission
from runner.records.outcome import Outcome, OutcomeKind
from runner.records.run import GradingConfig, JobConfig, Run
from runner.report.escape import shown
from runner.report.progress import Progress
from runner.settings import Settings
from runner.tasks.task import Task


def grade_on_hosts(
    settings: Settings, options: GradeOptions, task: Task, contents: Mapping[str, bytes], take: Callable[[Run], None]
) -> bool:
    """Grade contents on several hosts, each share's in rounds of one host; whether it was interrupted.

    Args:
        contents: bytes by their sha256.
        take: called with each run as it is graded; its number is the content's, from 1.

    Raises:
        Fault: before anything started.
    """
    config = JobConfig(
        task=task.name, task_digest=task.digest, scale=options.task.scale, agent="noop", runs=len(contents),
        name="grade", grading=grading_config(options.grading), target=task.target(options.task.scale),
        runtime=settings.runtime,
    )  # fmt: skip
    ungraded = Outcome(OutcomeKind.INFRASTRUCTURE, NOT_GRADED)
    name = task.file.submission.file
    waiting = tuple(
        EndedEpisode(run=Run(number=number, outcome=ungraded), submission=Submission(path=name, content=content))
        for number, content in enumerate(contents.values(), 1)
    )
    with Progress(quiet=options.show.quiet) as progress, joined(settings, options.several, None) as cluster:
        job = HostsJob(
            runner.__version__, config, cluster, pack_task(task), None, {}, take, progress.say,
            hosts_min=options.several.hosts, share=options.several.share, seeds=tuple(options.seed or ()),
            remains=Remains(config=config, waiting=waiting),
        )  # fmt: skip
        with interrupt_on_sigterm():
            return job.play()


def calibrate_on_hosts(settings: Settings, options: CalibrateOptions, task: Task) -> int:
    """Calibrate every host of the cluster; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    check_has_solution(task)
    config = JobConfig(
        task=task.name, task_digest=task.digest, scale=options.task.scale, name="calibrate", runtime=settings.runtime,
        grading=GradingConfig(slots=options.slots),
    )  # fmt: skip
    request = Request(runner=runner.__version__, config=config, work="calibrate", rounds=options.rounds)
    with Progress(quiet=options.show.quiet) as progress, joined(settings, options.several, None) as cluster:
        with interrupt_on_sigterm():
            done = calibrate_hosts(cluster, request, pack_task(task), options.several.hosts, progress.say)
    if options.show.json:
        print(json.dumps({"hosts": done.results, "failed": done.failed}, ensure_ascii=True))
    else:
        for name, result in sorted(done.results.items()):
            study, certificate = result["study"], result["certificate"]
            told = float(study["min_detectable_ratio"])
            beside = f", {int(result['side_by_side']['slots'])} gradings at once" if options.slots != 1 else ""
            print(f"{shown(name)}: certificate {shown(certificate['id'])}, a factor of {told:.3f} can be told{beside}")
        for name, why in sorted(done.failed.items()):
            print(f"{shown(name)}: no certificate: {shown(why)}")
    return INFRASTRUCTURE if done.failed else OK
