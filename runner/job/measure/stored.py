"""Records of what is kept of a job's measurements. Pure, but for reading the files."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from runner.grading.ablation import Costs, Subset, costs_of, ratio, take_apart
from runner.job.measure.profile import growth_of
from runner.records.measured import REST, Ablation, Measured, MissedWay, PartGain, Profile
from runner.store.measured import measurements

Json = Mapping[str, Any]
Record = TypeVar("Record")
_MISSED, _PROFILE, _ABLATION = TypeAdapter(MissedWay), TypeAdapter(Profile), TypeAdapter(Ablation)
# What computing with something other than times raises.
_OF_ANOTHER_FORM = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, StopIteration)
ABLATION, PAIRS, MISSED, PROFILE = "ablation", "pairs", "missed", "profile"  # what names of measurements begin with
FIGURE_MIN, FIGURE_MAX = (
    1e-30,
    1e30,
)  # chosen: beyond any size in bytes, any time in seconds and any share, and computable


def read_measured(job: Path) -> Measured | None:
    """What was measured of a job; None where nothing was."""
    kept = measurements(job)
    if not kept:
        return None
    ablations = _ablations(kept)
    profiles = tuple(filter(_is_whole, _records(kept, PROFILE, _PROFILE)))
    return Measured(
        ablations=tuple(sorted(ablations, key=lambda ablation: ablation.run)),
        missed=_records(kept, MISSED, _MISSED),
        profiles=profiles,
        growth=growth_of(profiles),
    )


def _ablations(kept: Mapping[str, Json]) -> list[Ablation]:
    found = []
    for name, content in kept.items():
        if name.startswith(f"{ABLATION}-"):
            try:
                made = ablation_of(content, kept.get(name.replace(ABLATION, PAIRS, 1)))
                found.append(_ABLATION.validate_python(asdict(made)))
            except _OF_ANOTHER_FORM:
                continue  # of another version, as below
    return found


def _is_whole(profile: Profile) -> bool:
    """Whether each of its calls has its figures, and they are such as calls have."""
    lengths = {len(profile.seconds), len(profile.samples), len(profile.shares)}
    figures = [
        profile.size,
        *profile.seconds,
        *(share for shares in profile.shares for share in shares.values() if share),
    ]
    return len(lengths) == 1 and all(FIGURE_MIN <= figure <= FIGURE_MAX for figure in figures)


def _records(kept: Mapping[str, Json], kind: str, adapter: TypeAdapter[Record]) -> tuple[Record, ...]:
    found = []
    for name, content in kept.items():
        if name.startswith(f"{kind}-"):
            try:
                found.append(adapter.validate_python(content["record"]))
            except (KeyError, ValidationError):
                continue  # of another version: measured again when it is asked for
    return tuple(found)


def ablation_of(singles: Json, pairs: Json | None = None) -> Ablation:
    """The ablation that follows from what was measured.

    Args:
        singles: one part put back at a time.
        pairs: two parts at a time; None where that was not measured.
    """
    about = {"title": singles["title"], "run": singles["run"], "sha256": singles["sha256"]}
    whole_file = _by_round(singles["file"]["times"])
    if not whole_file:
        reason = f"{singles['file']['outcome']}: {singles['file']['reason']}"
        return Ablation(**about, reason=reason, parts=_not_measured(singles))
    baseline = _by_round(singles["baseline"])
    shared = set(baseline) & set(whole_file)
    measured = {subset: times for subset, times in _variants(singles).items() if shared & set(times)}
    if not measured:
        return Ablation(**about, reason="no part could be measured on its own", parts=_not_measured(singles))
    apart = take_apart(costs_of(baseline, whole_file, measured), _pairs(pairs, measured))
    entries = {entry["parts"][0]: entry for entry in singles["variants"]}
    gains = [
        PartGain(
            part=part,
            definitions=tuple(singles["definitions"].get(part, ())),
            gain=apart.parts[part],
            slowdown=ratio(measured[frozenset({part})], whole_file),
            outcome=entries[part]["outcome"],
        )
        for part in apart.parts
    ]
    return Ablation(
        **about,
        rounds=len(whole_file),
        speedup=ratio(baseline, whole_file),
        whole=apart.whole,
        parts=(*gains, *_not_measured(singles)),
        interactions=apart.interactions,
        remainder=apart.remainder,
        complete=frozenset({REST}) in measured,
    )


def _pairs(pairs: Json | None, measured: Mapping[Subset, Any]) -> Costs | None:
    """What pairs cost; only where every pair of parts was measured can they stand in the sum."""
    if pairs is None:
        return None
    found = {subset: times for subset, times in _variants(pairs).items() if times}
    whole_file, names = _by_round(pairs["file"]["times"]), {next(iter(subset)) for subset in measured}
    rounds = set(whole_file).intersection(*found.values()) if found else set()
    if not rounds or not all(subset <= names for subset in found):
        return None
    shared = {subset: {number: times[number] for number in sorted(rounds)} for subset, times in found.items()}
    return costs_of(_by_round(pairs["baseline"]), {number: whole_file[number] for number in rounds}, shared)


def _variants(content: Json) -> dict[Subset, dict[int, float]]:
    return {frozenset(entry["parts"]): _by_round(entry["times"]) for entry in content["variants"]}


def _by_round(times: Json) -> dict[int, float]:
    return {int(number): float(seconds) for number, seconds in times.items()}


def _not_measured(content: Json) -> tuple[PartGain, ...]:
    """Parts that could not be put back, and those whose variant came to nothing that counts."""
    refused = [
        PartGain(part=part, definitions=tuple(content["definitions"].get(part, ())), reason=str(reason))
        for part, reason in content["refused"].items()
    ]
    failed = [
        PartGain(
            part=entry["parts"][0],
            definitions=tuple(content["definitions"].get(entry["parts"][0], ())),
            outcome=entry["outcome"],
            reason=str(entry["reason"]),
        )
        for entry in content["variants"]
        if not entry["times"]
    ]
    return (*refused, *failed)
