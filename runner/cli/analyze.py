"""`python -m runner analyze JOB...`: what their runs say together, from what was recorded."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from runner.cli.exit_codes import OK
from runner.cli.job_analysis import find_jobs, print_summary
from runner.cli.measure import measure
from runner.cli.options import AnalyzeOptions
from runner.faults import UsageFault
from runner.job.material import Material, analysis_of, material_of, pooled, same_task
from runner.job.pages import with_kept_comparison, write_analysis
from runner.report.analysis.analysis import Analysis
from runner.report.analysis.text import short_summary_lines
from runner.report.progress import Progress
from runner.settings import Settings

# Flags that mean something with --measure alone, and where they are kept.
_ONLY_MEASURING = {"--of": "of", "--only": "only", "--rounds": "rounds", "--task": "task", "--dry-run": "dry_run"}
TASKS_SHOWN = 4  # chosen: with nine lines each, the summary of several tasks fits on a screen, too


def analyze(settings: Settings, options: AnalyzeOptions) -> int:
    """Analyse jobs, write analysis.json and analysis.md, and print the summary; returns the exit status.

    The files go into the job's folder; of several jobs, into the folder that was asked for.

    Raises:
        UsageFault: none of the jobs can be read.
        StoreFault: the files cannot be written.
    """
    wanted = wanted_rates(options.want)
    found = list({job.folder.resolve(): (job, lost) for job, lost in find_jobs(settings, options.jobs)}.values())
    if options.measure:
        return measure(settings, [job for job, _ in found], options, wanted)
    if unused := [name for name, given in _ONLY_MEASURING.items() if getattr(options, given)]:
        raise UsageFault(cause=f"{', '.join(unused)} says what to measure", hint="add --measure")
    groups = same_task([material_of(job, lost) for job, lost in found])
    with Progress(quiet=options.show.quiet) as progress:
        analyses = [analysis_of(settings, pooled(group), progress.say, wanted=wanted) for group in groups]
    if len(found) == 1:
        analyses = [with_kept_comparison(found[0][0], analyses[0])]
    folders = _folders(analyses, options.to or (found[0][0].folder if len(found) == 1 else None))
    for folder, analysis in zip(folders, analyses, strict=False):
        write_analysis(folder, analysis)
    if options.show.json:
        print(json.dumps(_json(analyses, groups), ensure_ascii=True))
    elif len(analyses) == 1:
        print_summary(folders[0] if folders else None, analyses[0])
    else:
        where = [f"Analyses: {options.to}"] if options.to is not None else []
        print("\n".join([*_several_lines(analyses, groups), *where]))
    return OK


def wanted_rates(text: str) -> tuple[float, float]:
    """A range of pass rates such as 10%..40%, as shares.

    Raises:
        UsageFault: it is not one.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%?\s*\.\.\s*(\d+(?:\.\d+)?)\s*%?\s*", text)
    low, high = (float(match[1]) / 100, float(match[2]) / 100) if match else (1.0, 0.0)
    is_share = "%" not in text and high <= 0.01  # 0.1..0.4, which means 10 % to 40 % where --fail-under says it
    if is_share or not 0 <= low <= high <= 1:
        raise UsageFault(cause=f"--want {text} is not a range of pass rates", hint="write one such as 10%..40%")
    return low, high


# Jobs that cannot be counted together


def _folders(analyses: Sequence[Analysis], folder: Path | None) -> list[Path]:
    """Where each goes: into the folder, or where there are several into one of its own below; nowhere without one."""
    if folder is None or len(analyses) == 1:
        return [folder] if folder is not None else []
    seen: Counter[str] = Counter()
    paths = []
    for analysis in analyses:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{analysis.task}-{analysis.scale}")
        seen[name] += 1
        paths.append(folder / (name if seen[name] == 1 else f"{name}-{seen[name]}"))
    return paths


def _json(analyses: Sequence[Analysis], groups: Sequence[Sequence[Material]]) -> object:
    if len(analyses) == 1:
        return asdict(analyses[0])
    return {"not_pooled": _not_pooled(groups), "analyses": [asdict(analysis) for analysis in analyses]}


def _not_pooled(groups: Sequence[Sequence[Material]]) -> str:
    configs = [group[0].config for group in groups]
    named: dict[str, set[object]] = {
        "task": {config.task for config in configs},
        "scale": {config.scale for config in configs},
        "target": {config.target for config in configs},
    }
    differing = " and ".join(name for name, values in named.items() if len(values) > 1)
    return f"the jobs differ in {differing}: each is analysed for itself, and no figure is over all of them"


def _several_lines(analyses: Sequence[Analysis], groups: Sequence[Sequence[Material]]) -> Iterator[str]:
    yield f"Not counted together: {_not_pooled(groups)}"
    for analysis in analyses[:TASKS_SHOWN]:
        yield from short_summary_lines(analysis)
    if len(analyses) > TASKS_SHOWN:
        yield f"and {len(analyses) - TASKS_SHOWN} more: --output or --json shows all"
