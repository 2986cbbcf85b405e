"""A file with one part at a time put back to the baseline's version, measured in the rounds of a grading."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from runner.grading.ablation import Subset, pairs_of, round_times
from runner.grading.context import Candidate
from runner.grading.grade import measurement_session
from runner.grading.rounds import measure_rounds
from runner.grading.standing import Graded
from runner.job.measure.bench import Bench, Subject, solved_elsewhere
from runner.records.grading import Grading, Sample
from runner.records.measured import REST
from runner.records.outcome import OutcomeKind
from runner.store.results import grading_json, outcome_json

# Verdicts without a target that do not speak against a file's times: its quality may be open after so few rounds.
COUNTED = (OutcomeKind.PASSED, OutcomeKind.INCONCLUSIVE)
PAIR_SAMPLES = (
    1  # samples of a pair in a round. chosen: pairs are many and slow, and only name what is known to be there
)


@dataclass(frozen=True, slots=True)
class Variants:
    """Files with parts put back.

    Attributes:
        contents: by what is put back.
        refused: by part, why it cannot be put back on its own.
        complete: what is in no part of its own is a variant, too.
    """

    contents: Mapping[Subset, bytes] = field(repr=False)
    refused: Mapping[str, str]
    complete: bool


def single_variants(bench: Bench, subject: Subject) -> Variants:
    """One part put back at a time, and all the rest."""
    places, contents, refused = bench.where_solved(subject.content), {}, {}
    for unit in bench.definitions:
        reason = _why_not(bench, subject, unit) or solved_elsewhere(unit, bench.parts, places, bench.definitions)
        made = reason or bench.put_in(subject.content, bench.task.baseline, [unit])
        if isinstance(made, bytes):
            contents[frozenset({unit})] = made
        else:
            refused[unit] = made
    alone = [next(iter(subset)) for subset in contents]
    rest = bench.put_in(bench.task.baseline, subject.content, alone) if alone else "no part could be put back"
    if isinstance(rest, bytes):
        contents[frozenset({REST})] = rest
    else:
        refused[REST] = rest
    return Variants(contents, refused, complete=isinstance(rest, bytes))


def _why_not(bench: Bench, subject: Subject, unit: str) -> str:
    if not bench.definitions[unit]:
        return "none of its patterns is found in the baseline"
    return "it is the baseline's" if subject.content == bench.task.baseline else ""


def pair_variants(bench: Bench, subject: Subject, parts: Sequence[str]) -> Variants:
    """Two parts put back at a time."""
    contents, refused = {}, {}
    for pair in pairs_of(parts):
        if REST in pair:
            kept = [part for part in parts if part not in pair]
            made = bench.put_in(bench.task.baseline, subject.content, kept) if kept else bench.task.baseline
        else:
            made = bench.put_in(subject.content, bench.task.baseline, sorted(pair))
        if isinstance(made, bytes):
            contents[pair] = made
        else:
            refused[" and ".join(sorted(pair))] = made
    return Variants(contents, refused, complete=not refused)


def measure_variants(
    bench: Bench, subject: Subject, variants: Variants, rounds: int, *, samples: int | None = None
) -> dict[str, Any]:
    """Measure a file and its variants in the same rounds; what is kept of it.

    Raises:
        InfrastructureFault: engine or host failed; nothing is said about the file.
        Interrupted: we are stopping.
    """
    subsets = list(variants.contents)
    how = {} if samples is None else {"samples": samples}
    candidates = [Candidate(1, subject.content)]
    candidates += [Candidate(run, variants.contents[subset], **how) for run, subset in enumerate(subsets, 2)]
    with measurement_session(bench.context) as on_cpu:
        graded = measure_rounds(on_cpu, candidates, rounds)
    return {
        "title": subject.title,
        "run": subject.run,
        "sha256": subject.sha256,
        "rounds": rounds,
        "definitions": {part: list(names) for part, names in bench.definitions.items()},
        "refused": dict(variants.refused),
        "complete": variants.complete,
        "baseline": _times(_samples(graded), 0),
        "file": _entry(graded[0], ()),
        "variants": [_entry(each, sorted(subset)) for each, subset in zip(graded[1:], subsets, strict=True)],
    }


def _entry(graded: Graded, parts: Sequence[str]) -> dict[str, Any]:
    """A variant's outcome, its times by round where they count, and the evidence."""
    grading = graded.grading
    counted = grading.outcome.kind in COUNTED
    samples = grading.measurement.samples if grading.measurement else ()
    return {
        "parts": list(parts),
        **outcome_json(grading.outcome),
        "times": _times(samples, graded.run) if counted else {},
        "evidence": _evidence(grading),
    }


def _evidence(grading: Grading) -> dict[str, Any]:
    """The grading without the samples of the others, which stand once with the file itself."""
    whole = grading_json(grading)
    return {key: whole[key] for key in ("speedup", "seconds", "seeds", "quality", "findings", "notes")} | {
        "samples": [asdict(sample) for sample in (grading.measurement.samples if grading.measurement else ())]
    }


def _samples(graded: Sequence[Graded]) -> list[Sample]:
    """All samples of a session, each once."""
    found = {
        (sample.round, sample.position, sample.side, sample.run): sample
        for each in graded
        for sample in (each.grading.measurement.samples if each.grading.measurement else ())
    }
    return [found[key] for key in sorted(found)]


def _times(samples: Sequence[Sample], run: int) -> dict[str, float]:
    return {str(number): seconds for number, seconds in round_times(samples, run).items()}
