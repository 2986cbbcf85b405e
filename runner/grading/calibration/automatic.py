"""A certificate from what a grading has measured anyway: its own baselines and sentinels. Pure.

A host that nobody calibrated decides after two rounds only what lies far from the target, the rest after three or more. The
first grading on it that takes these and meets a quiet moment says how much a round's ratio varies, with fewer degrees of
freedom than a calibration and on the careful side: the noise of a baseline and that of a short sample are added as if they
had nothing in common, though both lie in the same minute.
"""

import math
import statistics
from collections.abc import Sequence

from runner.grading.calibration.study import ROUNDS_MIN
from runner.grading.noise import host_noise
from runner.records.grading import Certificate, Sample

# Share of the baseline's time in which the measuring CPU may have worked for others. chosen: a host that does nothing else
# shows under 1 %; what is loaded now says nothing of how it is otherwise, and its noise must not excuse anybody later.
OTHERS_SHARE_MAX = 0.03
# Seconds of each sample that say nothing of it: the engine's own work at its beginning and end. chosen: a tick, under which
# most hosts count nothing; without it, samples of milliseconds were never quiet.
OTHERS_S_ALLOWED = 0.01
PREFIX = "automatic-"  # of the id of such a certificate


def is_quiet(samples: Sequence[Sample]) -> bool:
    """Whether the measuring CPU did hardly anything else while the baseline ran; False where nobody counts that."""
    baseline = [sample for sample in samples if sample.side == "baseline"]
    known = [sample.others_s for sample in baseline if sample.others_s is not None]
    if not baseline or len(known) < len(baseline):
        return False
    return sum(known) <= sum(OTHERS_S_ALLOWED + OTHERS_SHARE_MAX * sample.seconds for sample in baseline)


def automatic_certificate(samples: Sequence[Sample], name: str) -> Certificate | None:
    """What the samples of a grading say about their host; None where they are too few.

    Args:
        samples: of the whole session, without a certificate.
        name: identifies the grading; the certificate's id says besides that it was made automatically.
    """
    sentinels = [math.log(sample.seconds) for sample in samples if sample.side == "sentinel"]
    rounds = sum(sample.side == "baseline" for sample in samples)
    noise = host_noise(samples, None)
    if noise is None or min(rounds, len(sentinels)) < ROUNDS_MIN:
        return None
    of_round = noise.of_round()
    return Certificate(
        id=f"{PREFIX}{name}",
        variance=of_round.variance,
        df=of_round.df,
        sentinel_log_mean=statistics.fmean(sentinels),
        sentinel_log_sd=statistics.stdev(sentinels),
    )


def is_automatic(certificate: Certificate) -> bool:
    """Whether a grading made it, and not `calibrate`."""
    return certificate.id.startswith(PREFIX)
