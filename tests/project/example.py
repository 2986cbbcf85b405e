"""The example job of docs/examples: played, kept without what is large, and described from its own records.

`python -m tests.project.example` (`make example`) plays ten scripted episodes and keeps the job with its report and
analysis; `--from FOLDER` keeps one that was played. What its pages say of figures is written from the records, by `make
docs`, too.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runner.records.run import Run
from runner.report.analysis.analysis import Analysis
from runner.report.analysis.text import markdown, summary_lines
from runner.report.escape import shown
from runner.report.html.material import read_analysis
from runner.store.jobs import StoredJob, read_job

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "examples" / "ten-runs"
RECORDS = ("results.json", "job.json", "lock.json", "analysis.json", "report.html")
NAME = "ten-runs"
PLAY = ("run", "--runs", "10", "--agent", "scripted", "--name", NAME, "--output", "output", "--quiet")


def example_pages(folder: Path = FOLDER) -> dict[str, str]:
    """The pages that are written from the example's records, by their path under docs/; none before it was played."""
    analysis = read_analysis(folder) if (folder / "analysis.json").is_file() else ""
    if isinstance(analysis, str):
        return {}
    pages = {"README.md": "\n".join(_page(read_job(folder), analysis)) + "\n", "analysis.md": markdown(analysis)}
    return {f"examples/{NAME}/{name}": text for name, text in pages.items()}


def _page(job: StoredJob, analysis: Analysis) -> Iterator[str]:
    assert job.config is not None and job.totals is not None
    yield "<!-- Written by `make docs` from the job's records: `make example` plays it again. -->"
    yield ""
    yield f"# {len(job.runs)} scripted runs of `{job.config.task}`"
    yield ""
    yield f"Played on {job.config.started[:10]} at scale {job.config.scale}, in {job.totals.seconds:.0f} s, for"
    yield f"{job.totals.dollars:.2f} US dollars: no model is asked, every turn was written beforehand. {_passed_words(job)}"
    yield "[report.html](report.html) is the whole on one page (save it, and open it in a browser),"
    yield "[analysis.md](analysis.md) what the runs say together, [results.json](results.json) every figure."
    yield ""
    yield "| run | outcome | speed-up | turns | why |"
    yield "|---|---|---|---|---|"
    yield from (f"| {' | '.join(_row(run))} |" for _, run in sorted(job.runs.items()))
    yield ""
    yield "How its console ends:"
    yield ""
    yield "```text"
    yield from summary_lines(analysis)
    yield "```"
    yield ""
    yield "Read it, and put it beside a job of yours; it needs no key, and only to compare submissions an engine:"
    yield ""
    yield "```sh"
    where = FOLDER.relative_to(ROOT).as_posix()
    yield f"python -m runner show {where}"
    yield f"python -m runner show {where} 3 --no-pager"
    yield f"python -m runner report {where} --output output/example.html"
    yield f"python -m runner analyze {where} --output output/example"
    yield f"python -m runner compare {where} {where}"
    yield "```"


def _passed_words(job: StoredJob) -> str:
    assert job.totals is not None and job.config is not None
    target = "" if job.config.target is None else f" the target of {job.config.target:g}x"
    return f"{job.totals.passed} of {job.totals.counted} passed{target}."


def _row(run: Run) -> tuple[str, ...]:
    speed = "-" if run.speedup is None else f"{run.speedup.estimate:.2f}x"
    turns = "-" if run.episode is None else str(run.episode.turns)
    return str(run.number), run.outcome.kind.words, speed, turns, shown(run.outcome.reason).replace("|", "&#124;")


# Playing and keeping


def play(folder: Path) -> Path:
    """Play the job in a folder; returns the job's."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "runner", *PLAY], cwd=folder, env=environment, check=True)
    return folder / "output" / NAME


def keep(job: Path, folder: Path = FOLDER) -> None:
    """Copy what is small: records, report, transcripts and submissions; without snapshots and the log."""
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name in RECORDS:
        shutil.copyfile(job / name, folder / name)
    for path in sorted(job.glob("run_*/*")):
        if path.is_file():
            (folder / path.parent.name).mkdir(exist_ok=True)
            shutil.copyfile(path, folder / path.parent.name / path.name)
    for name, text in example_pages(folder).items():
        (folder / Path(name).name).write_text(text)


def main() -> int:
    """Play, or take what was played, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="played", type=Path, metavar="FOLDER", help="a job that was played already")
    given = parser.parse_args()
    if given.played is not None:
        keep(given.played)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        keep(play(Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
