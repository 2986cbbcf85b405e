"""Where the baseline and the best file spend their time, at every scale of the task, and how that grows."""

from dataclasses import asdict
from typing import Any

from runner.grading.grade import measurement_session
from runner.grading.profile import LOOKS_MIN, exponent, input_bytes, shares_of, watch
from runner.job.measure.bench import Bench, Subject
from runner.job.measure.plan import Cost
from runner.records.measured import Growth, Profile

CALLS = 3  # at each scale; chosen: the fewest of which a spread can be told


def profile_cost(bench: Bench, scale: str, speedup: float) -> Cost:
    """Of one file at one scale, as if its time grew with the size of the data."""
    size = input_bytes(bench.context, scale) / max(1, input_bytes(bench.context, bench.scale))
    return Cost(CALLS * size / max(1.0, speedup), CALLS)


def profile_file(bench: Bench, subject: Subject, scale: str) -> dict[str, Any]:
    """Watch some calls of a file, each in a sandbox of its own; what is kept of it.

    Raises:
        InfrastructureFault: engine or host failed; nothing is said about the file.
        Interrupted: we are stopping.
    """
    with measurement_session(bench.context) as on_cpu:
        calls = [watch(on_cpu, subject.content, scale) for _ in range(CALLS)]
    failed = [call for call in calls if isinstance(call, str)]
    watched = [call for call in calls if not isinstance(call, str)]
    record = Profile(
        title=subject.title,
        run=subject.run,
        sha256=subject.sha256,
        scale=scale,
        size=input_bytes(bench.context, scale),
        seconds=tuple(call.seconds for call in watched),
        samples=tuple(call.looks for call in watched),
        shares=tuple(shares_of(call.stacks, bench.definitions) for call in watched),
        reason=failed[0] if failed else "",
    )
    return {"record": asdict(record)}


def growth_of(profiles: tuple[Profile, ...]) -> tuple[Growth, ...]:
    """How the time of each part grows, of every file that was profiled at more than one scale."""
    by_file: dict[str, list[Profile]] = {}
    for profile in profiles:
        by_file.setdefault(profile.sha256, []).append(profile)
    return tuple(growth for mine in by_file.values() if len(mine) > 1 for growth in _growth_of_file(mine))


def _growth_of_file(profiles: list[Profile]) -> list[Growth]:
    parts = {part: None for profile in profiles for shares in profile.shares for part in shares}
    return [_growth_of_part(profiles, part) for part in parts]


def _growth_of_part(profiles: list[Profile], part: str) -> Growth:
    title, points, looks = profiles[0].title, [], []
    for profile in profiles:
        for seconds, samples, shares in zip(profile.seconds, profile.samples, profile.shares, strict=True):
            share = shares.get(part, 0.0)
            looks.append(share * samples)
            if share:
                points.append((float(profile.size), share * seconds))
    if not looks or min(looks) < LOOKS_MIN:
        return Growth(title=title, part=part, exponent=None, reason="it is too short at some scale to tell")
    found = exponent(points)
    return Growth(title=title, part=part, exponent=found, reason="" if found else "the scales have data of one size")
