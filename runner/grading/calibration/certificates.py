"""Certificates of a host's noise: one JSON file for each host, task and scale, and when one is valid."""

import hashlib
import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scipy import stats

from runner.faults import InfrastructureFault, StoreFault
from runner.records.grading import Certificate
from runner.settings import cache_folder

VALID = timedelta(days=30)


def certificate_path(host: Mapping[str, object]) -> Path:
    """Where the certificate of a fingerprint is kept."""
    name = hashlib.sha256(json.dumps(dict(host)).encode()).hexdigest()[:12]
    return cache_folder() / "certificates" / f"{name}.json"


def write_certificate(host: Mapping[str, object], content: dict[str, Any]) -> Path:
    """Keep a calibration; returns its path.

    Raises:
        StoreFault: it cannot be written.
    """
    path = certificate_path(host)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps({"fingerprint": dict(host), **content}, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise StoreFault(
            cause=f"{path} cannot be written: {error.strerror}", hint="make room or give permission"
        ) from error
    return path


def find_certificate(host: Mapping[str, object]) -> tuple[Certificate | None, str]:
    """The valid certificate of a host for a task, or why there is none.

    Args:
        host: its fingerprint (`runner.grading.calibration.fingerprint`).
    """
    path = certificate_path(host)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        made = datetime.fromisoformat(content["made"])
        values = {each.name: content["certificate"][each.name] for each in fields(Certificate)}
    except FileNotFoundError:
        return None, "none was made on this host for this task and scale (`python -m runner calibrate`)"
    except (OSError, ValueError, KeyError, TypeError):
        return None, f"{path} cannot be read"
    if datetime.now(UTC) - made > VALID:
        return None, f"the one of {made.date()} is older than {VALID.days} days"
    return Certificate(**values), ""


def require_quiet(certificate: Certificate | None, why_not: str, percent: float) -> None:
    """Refuse a host that is noisier than asked for, or that nobody has measured.

    Raises:
        InfrastructureFault: it is.
    """
    hint = "run `python -m runner calibrate` on a quieter host, or allow more with --require-quiet"
    if certificate is None:
        raise InfrastructureFault(cause=f"--require-quiet {percent:g}: no certificate: {why_not}", hint=hint)
    noise = 100.0 * float(certificate.variance**0.5)
    if noise > percent:
        raise InfrastructureFault(
            cause=f"--require-quiet {percent:g}: a round's ratio varies by {noise:.1f} % on this host", hint=hint
        )


# The level may move by this factor besides its own spread: a host that is throttled or shared shows more.
LEVEL_FACTOR = 1.5
SPREAD_ERROR = 0.01


def drift_reason(certificate: Certificate, sentinel_logs: Sequence[float]) -> str | None:
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
