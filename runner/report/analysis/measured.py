"""What was measured of a job after it had ended, as a person reads it. Hostile text is escaped here."""

import math
from collections.abc import Iterator

from runner.records.grading import Interval
from runner.records.measured import Ablation, Estimate, Growth, Measured, MissedWay, PartGain, Profile
from runner.report.analysis.tables import table
from runner.report.escape import capitalized, in_markdown, shown

PARTS_SHOWN = 6  # of a profile, on the console; chosen: a line
GAIN = (
    "A part's gain is its share of the log of the speed-up: the time that it saves, over the logarithmic mean of the "
    "baseline's time and the file's. Gains add up; a speed-up of 10x is a gain of 2.30."
)


def measured_lines(measured: Measured) -> Iterator[str]:
    """For the console: each file's parts, and what was missed."""
    for ablation in measured.ablations:
        yield from _ablation_lines(ablation)
    for each in measured.missed:
        yield f"Missed, {_missed_words(each)}"
    for profile in measured.profiles:
        yield _profile_line(profile)
    for growth in measured.growth:
        if growth.exponent is not None:
            yield f"Growth of {shown(growth.part)} in {shown(growth.title)}: {exponent_words(growth)}"


def _profile_line(profile: Profile) -> str:
    head = f"Where {shown(profile.title)} spends its time at scale {shown(profile.scale)}"
    if not profile.shares:
        return f"{head}: not known, {shown(profile.reason)}"
    shares = ", ".join(
        f"{shown(part)} {100 * share:.0f} %" for part, share in list(mean_shares(profile).items())[:PARTS_SHOWN]
    )
    return f"{head}: {shares}"


def mean_shares(profile: Profile) -> dict[str, float]:
    """The mean over the calls, the largest first, then by name."""
    parts = {part for shares in profile.shares for part in shares}
    means = {part: sum(shares.get(part, 0.0) for shares in profile.shares) / len(profile.shares) for part in parts}
    return dict(sorted(means.items(), key=lambda entry: (-entry[1], entry[0])))


def exponent_words(growth: Growth) -> str:
    """How a part's time grows, or why that is not known."""
    if growth.exponent is None:
        return f"not known, {shown(growth.reason)}"
    return f"bytes of input to the power of {gain_words(growth.exponent)}"


def _ablation_lines(ablation: Ablation) -> Iterator[str]:
    if ablation.whole is None:
        yield f"What each part of {shown(ablation.title)} gave: not measured, {shown(ablation.reason)}"
    else:
        speed = multiple_words(ablation.speedup)
        yield f"What each part of {shown(ablation.title)} gave, of {speed} = {gain_words(ablation.whole)} in logs:"
    yield from (f"  {_part_line(part, ablation)}" for part in ablation.parts)
    for interaction in ablation.interactions:
        yield f"  {' with '.join(map(shown, interaction.parts))}: {gain_words(interaction.gain)}"
    if ablation.remainder is not None:
        yield f"  {remainder_words(ablation)}"


def _part_line(part: PartGain, ablation: Ablation) -> str:
    name = capitalized(shown(part.part))
    if part.gain is None:
        return f"{name}: not measured on its own, {why_not(part)}"
    share = (
        f" ({100 * part.gain.value / ablation.whole.value:.0f} %)" if ablation.whole and ablation.whole.value else ""
    )
    return f"{name}: {gain_words(part.gain)}{share}; without it {multiple_words(part.slowdown)} as long"


def why_not(part: PartGain) -> str:
    """Why a part has no figures."""
    reason = shown(part.reason)
    return f"the file without it is {part.outcome.replace('_', ' ')}: {reason}" if part.outcome else reason


def remainder_words(ablation: Ablation) -> str:
    """Whether the parts add up to the whole, and what is left over; of one that has a remainder."""
    assert ablation.remainder is not None
    left = gain_words(ablation.remainder)
    if ablation.complete and ablation.adds_up is None:
        return f"Too few rounds, or too busy a host, to tell whether they add up; left over: {left}"
    if ablation.adds_up is None:
        return f"What could not be put back, and what acts together: {left}"
    if ablation.adds_up:
        return f"They add up to the whole; left over: {left}"
    named = "and their interactions " if ablation.interactions else ""
    return f"The parts {named}do not add up to the whole; left over: {left}"


def _missed_words(each: MissedWay) -> str:
    runs = ", ".join(map(str, each.failed_runs))
    taken = f"taken by failed runs only ({runs})" if each.failed_runs else "taken by no run"
    head = f"{shown(each.part)}, {shown(each.title)} ({taken})"
    if not each.outcome:
        return f"{head}: not measured, {shown(each.reason)}"
    speed = f", {_speedup(each.speedup)}" if each.speedup is not None else ""
    return f"{head}: in run {each.into}'s file {each.outcome.replace('_', ' ')}{speed}; {shown(each.reason)}"


def gain_words(estimate: Estimate) -> str:
    """A figure with its interval."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} (95 %: {estimate.low:.2f} to {estimate.high:.2f})"


def multiple_words(estimate: Estimate | None) -> str:
    """A ratio with its interval, or a dash."""
    return "-" if estimate is None else _ratio(estimate.value, estimate.low, estimate.high)


def _speedup(interval: Interval | None) -> str:
    return "-" if interval is None else _ratio(interval.estimate, interval.low, interval.high)


def _ratio(value: float, low: float | None, high: float | None) -> str:
    bounds = "" if low is None or high is None else f" ({low:.2f}x to {high:.2f}x)"
    return f"{value:.2f}x{bounds}"


# As a document


def measured_section(measured: Measured) -> Iterator[str]:
    """A section of the document, with every table whole."""
    if measured.ablations:
        yield from ("### What each part gave", "", GAIN, "")
    for ablation in measured.ablations:
        yield from _ablation_section(ablation)
    if measured.missed:
        yield from ("### What was missed", "")
        yield "Ways that no passed run took, each put into the best run's file and graded."
        yield ""
        head = (
            "part",
            "way",
            "code from",
            "taken by failed runs",
            "into run",
            "verdict",
            "speed-up",
            "quality",
            "reason",
        )
        yield from table(head, [_missed_row(each) for each in measured.missed])
    if measured.profiles:
        yield from ("### Where time goes", "")
        yield from (f"{_looked_at(measured)}", "")
    for profile in measured.profiles:
        yield from _profile_section(profile)
    if measured.growth:
        yield from ("### How time grows with the size of the data", "")
        rows = [(shown(growth.title), shown(growth.part), exponent_words(growth)) for growth in measured.growth]
        yield from table(("file", "part", "seconds grow as"), rows)


def _looked_at(measured: Measured) -> str:
    looks = sum(sum(profile.samples) for profile in measured.profiles)
    return (
        f"A thread beside the file looked at it {looks} times; these calls are not comparable with a grading's samples."
    )


def _profile_section(profile: Profile) -> Iterator[str]:
    yield from (f"**{in_markdown(capitalized(shown(profile.title)))}**, scale {in_markdown(shown(profile.scale))}:", "")
    if profile.reason:
        yield from (f"Not every call ended well: {in_markdown(shown(profile.reason))}.", "")
    seconds = sum(profile.seconds) / len(profile.seconds) if profile.seconds else math.nan
    rows = [
        (shown(part), f"{100 * share:.1f} %", f"{share * seconds:.3f}") for part, share in mean_shares(profile).items()
    ]
    yield from table(("part or function", "share", "seconds"), rows)


def _ablation_section(ablation: Ablation) -> Iterator[str]:
    title = in_markdown(capitalized(shown(ablation.title)))
    if ablation.whole is None:
        yield from (f"**{title}**: not measured, {in_markdown(shown(ablation.reason))}.", "")
    else:
        said = f"{multiple_words(ablation.speedup)}, gain {gain_words(ablation.whole)}, {ablation.rounds} rounds"
        yield from (f"**{title}**: {said}.", "")
    rows = [_part_row(part, ablation) for part in ablation.parts]
    rows += [(" with ".join(map(shown, i.parts)), gain_words(i.gain), "", "", "") for i in ablation.interactions]
    yield from table(("part", "gain", "of the whole", "time without it", "remark"), rows)
    if ablation.remainder is not None:
        yield from (f"{remainder_words(ablation)}.", "")


def _part_row(part: PartGain, ablation: Ablation) -> tuple[str, ...]:
    name = f"{shown(part.part)} ({', '.join(map(shown, part.definitions))})" if part.definitions else shown(part.part)
    if part.gain is None or ablation.whole is None:
        return name, "-", "-", "-", f"not measured on its own: {why_not(part)}"
    share = 100 * part.gain.value / ablation.whole.value if ablation.whole.value else math.nan
    return name, gain_words(part.gain), f"{share:.0f} %", multiple_words(part.slowdown), ""


def _missed_row(each: MissedWay) -> tuple[str, ...]:
    quality = "-"
    if each.quality is not None and each.quality_baseline is not None:
        quality = f"{each.quality:.4f} (baseline {each.quality_baseline:.4f})"
    return (
        shown(each.part),
        shown(each.title),
        each.source,
        ", ".join(map(str, each.failed_runs)) or "none",
        str(each.into),
        each.outcome.replace("_", " ") or "-",
        _speedup(each.speedup),
        quality,
        shown(each.reason),
    )
