"""Jobs that nobody played, of any number of runs, in memory and as a folder: for what grows with a job.

`make_runs` gives records, `make_facts` what a parser would say of their submissions, `make_analysis` what `analyze` would
make of both, and `write_job` the folder.
"""

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from runner.records.episode import EpisodeSummary, ToolCall, Usage
from runner.records.events import (
    AT,
    KIND,
    BudgetEvent,
    EndEvent,
    Event,
    StartEvent,
    ToolResultEvent,
    TurnEvent,
    event_to_json,
)
from runner.records.grading import Ending, Finding, Interval, Measurement, Quality, Sample
from runner.records.measured import Ablation, Estimate, Growth, Interaction, Measured, MissedWay, PartGain, Profile
from runner.records.run import JobConfig, Run, SubmissionRecord, Totals
from runner.records.syntax import SyntaxFacts
from runner.report.analysis.analysis import Analysis, analyze_job
from runner.report.analysis.effort import Effort, effort_of
from runner.report.analysis.strategies import KnownPart
from runner.store.results import results_json
from tests.builders import RULES, make_grading, make_outcome

PARTS = (
    KnownPart(
        name="normalisation", ways={"pairwise": "Pairwise distances", "z-score": "z-score", "scaler": "A scaler"}
    ),
    KnownPart(
        name="gradients",
        ways={"slices": "Array slices", "diff": "numpy.diff", "loops": "Pixel by pixel"},
        seen_known=True,
    ),
)
STARTER = "".join(f"value_{n} = {n}  # line {n} of the starter\n" for n in range(200))
LOCK = {"runner": "0.1.0", "python": "3.11.7", "engine": {"version": "20.10", "cpus": 2}}


def make_config(*, runs: int = 10, target: float | None = 33.0, **changed: object) -> JobConfig:
    """What was asked for."""
    config = JobConfig(
        task="slow_nbody", scale="small", agent="scripted", runs=runs, name="synthetic", target=target,
        started="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    return replace(config, **changed)  # type: ignore[arg-type]


def make_runs(*, count: int = 10, families: int = 4, rounds: int = 3, target: float = 33.0, seed: int = 0) -> list[Run]:
    """Runs of which about a third pass; those of a family are about as fast.

    Args:
        families: how many kinds of submission there are; run n is of family n modulo this.
        rounds: of each measurement, with one baseline sample and three of the candidate.
    """
    rng = random.Random(seed)
    return [_run(number, number % families, rounds, target, rng) for number in range(1, count + 1)]


def _run(number: int, family: int, rounds: int, target: float, rng: random.Random) -> Run:
    episode = EpisodeSummary(
        turns=rng.randint(3, 12), calls=rng.randint(3, 30), seconds=rng.uniform(5, 90), ending="submitted",
        dollars=rng.uniform(0.01, 0.2), usage=Usage(input=1000 * number, output=100 * number),
    )  # fmt: skip
    if rng.random() < 0.15:
        return Run(number=number, outcome=make_outcome("no_submission", "the agent ended"), episode=episode)
    ratio = 20.0 * (1 + family) * math.exp(rng.gauss(0.0, 0.05))
    kind = "passed" if ratio > 1.1 * target else "too_slow"
    speedup = Interval(
        estimate=ratio, low=ratio / 1.08, high=ratio * 1.08, confidence=0.97, rounds=rounds, resolution=1.05
    )
    measurement = Measurement(
        samples=tuple(_samples(number, rounds, ratio, rng)), speedup=speedup, baseline_s=12.0, candidate_s=12.0 / ratio,
        seeds=tuple(range(1, rounds + 1)),
    )  # fmt: skip
    finding = Finding(check="component-present", subject="component", mark="pass", text="it is there", about="A")
    quality = Quality(name="Accuracy", baseline=0.9, candidate=0.9, bar=0.88, tolerance=0.02)
    grading = make_grading(
        kind,
        finding,
        reason=f"{ratio:.2f}x",
        measurement=measurement,
        quality=quality,
        rules=replace(RULES, target=target),
    )
    return Run(
        number=number,
        outcome=grading.outcome,
        episode=episode,
        grading=grading,
        submission=SubmissionRecord(path="fast.py", sha256="0" * 64, bytes=4000 + number, stored_at="fast.py"),
    )


def _samples(number: int, rounds: int, ratio: float, rng: random.Random) -> list[Sample]:
    samples = []
    for place in range(1, rounds + 1):
        start = 1000.0 * place
        samples.append(
            Sample(
                side="baseline", run=0, round=place, position=0, ending=Ending.ANSWERED, seconds=12.0, started_s=start
            )
        )
        for position in range(3):
            seconds = 12.0 / ratio * math.exp(rng.gauss(0.0, 0.03))
            at = start + 20 + 3 * number + position
            samples.append(
                Sample(side="candidate", run=number, round=place, position=3 * number + position,
                       ending=Ending.ANSWERED, seconds=seconds, started_s=at)
            )  # fmt: skip
    return samples


def make_facts(runs: Sequence[Run], *, families: int = 4, shapes: int = 40) -> dict[int, SyntaxFacts]:
    """What a parser would say of the submissions: those of a family have most of their shapes in common.

    The third family solves the second part in no known way; every seventh run's file does not have that part at all.
    """
    ways = [list(part.ways) for part in PARTS]
    facts = {}
    for run in runs:
        if run.submission is None:
            continue
        family = run.number % families
        own = {f"f{family}-{n}": 1 for n in range(shapes)} | {f"r{run.number}-{n}": 1 for n in range(shapes // 8)}
        matches = {f"{part.name}/{way[family % len(way)]}": "x = 1" for part, way in zip(PARTS, ways, strict=True)}
        regions = {}
        if family == 2:
            matches = {name: text for name, text in matches.items() if not name.startswith("gradients")}
            matches["gradients/?"] = "def gradients(image):\n    return <image>"
            regions = {"gradients/?": {"shape": 1}}
        if run.number % 7 == 0:
            matches = {name: text for name, text in matches.items() if not name.startswith("gradients")}
        facts[run.number] = SyntaxFacts(
            lines=200 + run.number, shapes={"start": 3, **own}, matches=matches, regions=regions
        )
    return facts


def make_analysis(
    config: JobConfig, runs: Sequence[Run], *, families: int = 4, measured: Measured | None = None
) -> Analysis:
    """The analysis of runs whose submissions were parsed."""
    efforts = {run.number: _effort(run) for run in runs}
    return analyze_job(
        config,
        runs,
        efforts,
        starter=SyntaxFacts(lines=200, shapes={"start": 3}, matches={}),
        submissions=make_facts(runs, families=families),
        parts=PARTS,
        measured=measured,
    )


def make_measured() -> Measured:
    """One of everything that can be measured after a job has ended."""
    gain = Estimate(value=1.2, low=1.0, high=1.4)
    parts = (
        PartGain(part="normalisation", definitions=("A.normalise",), gain=gain, slowdown=gain),
        PartGain(part="gradients", outcome="crashed", reason="NameError: x"),
    )
    ablation = Ablation(
        title="run 3, best", run=3, sha256="0" * 64, rounds=5, speedup=gain, whole=gain, parts=parts,
        interactions=(Interaction(parts=("normalisation", "gradients"), gain=gain),), remainder=gain, complete=True,
    )  # fmt: skip
    missed = MissedWay(
        part="gradients", way="diff", title="numpy.diff", source="donor", failed_runs=(2,), into=3, outcome="too_slow",
        reason="30.00x", speedup=Interval(estimate=30.0, low=28.0, high=32.0, confidence=0.97, rounds=3), quality=0.9,
    )  # fmt: skip
    profile = Profile(
        title="the baseline", run=-1, sha256="0" * 64, scale="small", size=1000, seconds=(2.0,), samples=(200,),
        shares=({"normalisation": 0.75, "A.forward": 0.25},), reason="the last call was cut off",
    )  # fmt: skip
    growth = Growth(title="the baseline", part="normalisation", exponent=gain)
    return Measured(
        ablations=(ablation, Ablation(title="run 4, near miss", run=4, sha256="0" * 64, reason="it does not parse")),
        missed=(missed,),
        profiles=(profile,),
        growth=(growth, Growth(title="run 3, best", part="gradients", exponent=None, reason="too few calls")),
    )


def _effort(run: Run) -> Effort:
    return effort_of(make_events(run.number))


def make_events(number: int, *, turns: int = 4, output: str = "ok\n", say: str = "I look.") -> list[Event]:
    """A short episode.

    Args:
        output: of each command.
        say: the agent's words of each turn.
    """
    events: list[Event] = [StartEvent(run=number, agent="scripted", task="slow_nbody", image="sha256:0")]
    for turn in range(1, turns + 1):
        call = ToolCall(f"c{turn}", "bash", {"command": f"python3 try_{turn}.py"})
        events += [
            TurnEvent(turn=turn, say=say, calls=(call,)),
            ToolResultEvent(call=call.id, text=output, is_error=False, seconds=0.5 + number % 7),
            BudgetEvent(turn=turn),
        ]
    return [*events, EndEvent(ending="submitted", turns=turns, calls=turns, seconds=4.0)]


def make_source(number: int, *, lines: int = 200) -> bytes:
    """A submission: the starter with every twentieth line changed."""
    kept = STARTER.splitlines()[:lines]
    changed = [f"value_{n} = {number * n}" if n % 20 == 0 else line for n, line in enumerate(kept)]
    return ("\n".join(changed) + "\n").encode()


def write_job(
    folder: Path,
    *,
    runs: Sequence[Run] = (),
    config: JobConfig | None = None,
    sources: Mapping[int, bytes] | None = None,
    transcripts: Mapping[int, Sequence[Event]] | None = None,
    analysis: Analysis | None = None,
) -> Path:
    """A job's folder; a run without a source or a transcript of its own has a plain one. Returns the folder."""
    config = config or make_config(runs=len(runs))
    folder.mkdir(parents=True, exist_ok=True)
    passed = sum(run.outcome.kind.value == "passed" for run in runs)
    counted = len(runs)
    rate = passed / counted if counted else None
    totals = Totals(
        runs=counted, counted=counted, passed=passed, failed=counted - passed, pass_rate=rate, seconds=600.0
    )
    (folder / "job.json").write_text(json.dumps(asdict(config)))
    (folder / "lock.json").write_text(json.dumps(LOCK))
    (folder / "results.json").write_text(json.dumps(results_json(config, list(runs), totals, LOCK)))
    for run in runs:
        own = folder / f"run_{run.number}"
        own.mkdir(exist_ok=True)
        write_transcript(own / "transcript.jsonl", (transcripts or {}).get(run.number) or make_events(run.number))
        if run.submission is not None:
            (own / "fast.py").write_bytes((sources or {}).get(run.number) or make_source(run.number))
    if analysis is not None:
        (folder / "analysis.json").write_text(json.dumps(asdict(analysis)))
    return folder


def write_transcript(path: Path, events: Sequence[Event]) -> None:
    """A transcript, a second between its lines."""
    lines = [
        json.dumps({KIND: event.kind, AT: f"2026-01-01T00:00:{second % 60:02}+00:00", **event_to_json(event)})
        for second, event in enumerate(events)
    ]
    path.write_text("\n".join(lines) + "\n")
