"""Whether the noise of a host is still what its certificate says. Pure."""

import math
import statistics
from collections.abc import Sequence

from scipy import stats

from runner.records.rules import Certificate

# The level may move by this factor besides its own spread: a host that is throttled or shared shows more.
LEVEL_FACTOR = 1.5
SPREAD_ERROR = 0.01


def disagreement(certificate: Certificate, sentinel_logs: Sequence[float]) -> str | None:
    """Why the sentinels of a job (log of seconds) do not belong to the host that was calibrated; None where they may.

    Their mean is held to the certificate's within three standard errors and a factor of 1.5; their spread by an F test at
    the 1 % level.
    """
    count = len(sentinel_logs)
    if count == 0:
        return None
    sd = max(certificate.sentinel_log_sd, 0.02)
    apart = abs(statistics.fmean(sentinel_logs) - certificate.sentinel_log_mean)
    if apart > 3.0 * sd * math.sqrt(1.0 / count + 1.0 / (certificate.df + 1)) + math.log(LEVEL_FACTOR):
        return f"the sentinels' level differs from the calibration's by a factor of {math.exp(apart):.2f}"
    if count > 2:
        ratio = statistics.variance(sentinel_logs) / sd**2
        if ratio > float(stats.f.ppf(1.0 - SPREAD_ERROR, count - 1, certificate.df)):
            return f"the sentinels vary {math.sqrt(ratio):.1f} times as much as in the calibration"
    return None
