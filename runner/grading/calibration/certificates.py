"""Certificates of a host's noise: one JSON file for each host, task and scale; when one is valid, and what it permits.

A certificate is what a calibration (`study.py`) found, as far as verdicts use it. Its file is named by the host's
fingerprint, so that another kernel, image or task finds none.
"""

import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scipy import special

from runner.faults import InfrastructureFault, StoreFault
from runner.grading.calibration.automatic import is_automatic
from runner.records.grading import Certificate
from runner.settings import cache_folder, write_cached

# chosen: the fingerprint covers what changes a host's noise at a stroke; this covers what does so unseen (neighbours, heat,
# firmware), and drift_reason catches it in between.
VALID = timedelta(days=30)
# A job's sentinels may differ from the calibration's by three standard errors of the mean (0.3 % of honest jobs would,
# were it normal), and beyond that by this factor: another quiet host of the kind, or the same at another clock frequency.
# chosen; a throttled or shared host shows more.
LEVEL_ERRORS, LEVEL_FACTOR = 3.0, 1.5
# Error probability of the F test of their spread, one-sided. chosen: a job in a hundred loses its certificate for nothing,
# which costs it a round.
SPREAD_ERROR = 0.01
# Spread of the log of seconds under which no host is believed to be: seven samples can agree by chance. chosen.
SENTINEL_SD_MIN = 0.02


def certificate_path(host: Mapping[str, object]) -> Path:
    """The file of a host's certificate.

    Args:
        host: the fields of its `Fingerprint`; their order counts.
    """
    name = hashlib.sha256(json.dumps(dict(host)).encode()).hexdigest()[:12]
    return cache_folder() / "certificates" / f"{name}.json"


def write_certificate(host: Mapping[str, object], content: dict[str, Any]) -> Path:
    """Save a calibration; returns its path.

    Args:
        content: `made` (ISO 8601), `certificate` (the fields of a `Certificate`), and whatever else explains them.

    Raises:
        StoreFault: it cannot be written.
    """
    path = certificate_path(host)
    write_cached(path, (json.dumps({"fingerprint": dict(host), **content}, indent=2) + "\n").encode())
    return path


def find_certificate(host: Mapping[str, object], *, automatic: bool = True) -> tuple[Certificate | None, str]:
    """The valid certificate of a host for a task, or why there is none.

    Args:
        host: its fingerprint (`runner.grading.calibration.fingerprint`).
        automatic: False leaves out one that a grading made by itself.
    """
    path = certificate_path(host)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        made = datetime.fromisoformat(content["made"])
        said = content["certificate"]
        found = Certificate(**{each.name: said[each.name] for each in fields(Certificate) if each.name in said})
    except FileNotFoundError:
        return None, "none was made on this host for this task and scale (`python -m runner calibrate`)"
    except (OSError, ValueError, KeyError, TypeError):
        return None, f"{path} cannot be read"
    if datetime.now(UTC) - made > VALID:
        return None, f"the one of {made.date()} is older than {VALID.days} days"
    if is_automatic(found) and not automatic:
        return None, "the one that a grading made by itself is left out (`--no-calibrate`)"
    return found, ""


def discard_certificate(host: Mapping[str, object]) -> None:
    """Forget a host's certificate.

    Raises:
        StoreFault: its file cannot be removed.
    """
    path = certificate_path(host)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreFault(
            cause=f"{path} cannot be removed: {error.strerror}", hint="check that there is write permission"
        ) from error


def check_noise(certificate: Certificate | None, reason: str, percent: float) -> None:
    """Refuse a host that is noisier than `--max-noise` allows, or that nobody has calibrated.

    Args:
        reason: why there is no certificate.
        percent: the standard deviation of a round's log ratio that is allowed, in percent.

    Raises:
        InfrastructureFault: it is noisier, or there is no certificate.
    """
    hint = "run `python -m runner calibrate` on a quieter host, or allow more with --max-noise"
    if certificate is None:
        raise InfrastructureFault(cause=f"--max-noise {percent:g}: no certificate: {reason}", hint=hint)
    noise = 100.0 * float(certificate.variance**0.5)
    if noise > percent:
        raise InfrastructureFault(
            cause=f"--max-noise {percent:g}: a round's ratio varies by {noise:.1f} % on this host", hint=hint
        )


def drift_reason(certificate: Certificate, sentinel_logs: Sequence[float]) -> str | None:
    """Why the sentinels of a job do not belong to the host that was calibrated; None where they may.

    Their level is compared with the calibration's (LEVEL_ERRORS, LEVEL_FACTOR), and from three on their spread by an F test
    of the two variances.

    Args:
        sentinel_logs: log of seconds of the job's sentinels so far.
    """
    count = len(sentinel_logs)
    if count == 0:
        return None
    sd = max(certificate.sentinel_log_sd, SENTINEL_SD_MIN)
    delta = abs(statistics.fmean(sentinel_logs) - certificate.sentinel_log_mean)
    error = sd * math.sqrt(1.0 / count + 1.0 / (certificate.df + 1))
    if delta > LEVEL_ERRORS * error + math.log(LEVEL_FACTOR):
        return f"the sentinels' level differs from the calibration's by a factor of {math.exp(delta):.2f}"
    if count > 2:
        ratio = statistics.variance(sentinel_logs) / sd**2
        if ratio > float(special.fdtri(count - 1, certificate.df, 1.0 - SPREAD_ERROR)):  # what scipy.stats.f.ppf calls
            return f"the sentinels vary {math.sqrt(ratio):.1f} times as much as in the calibration"
    return None


def misfit_reason(certificate: Certificate, sentinel_logs: Sequence[float]) -> str | None:
    """Why a certificate does not describe the host as a quiet moment shows it; None where it may.

    Besides what contradicts it in any moment: that it was made of times that vary more than these do, so that its noise
    would excuse files that only vary by themselves.

    Args:
        sentinel_logs: log of seconds of a quiet grading's sentinels.
    """
    reason = drift_reason(certificate, sentinel_logs)
    if reason is not None or len(sentinel_logs) < 3:
        return reason
    sd = max(statistics.stdev(sentinel_logs), SENTINEL_SD_MIN)
    ratio = certificate.sentinel_log_sd**2 / sd**2
    if ratio > float(special.fdtri(certificate.df, len(sentinel_logs) - 1, 1.0 - SPREAD_ERROR)):
        return f"the calibration's sentinels varied {math.sqrt(ratio):.1f} times as much as these"
    return None
