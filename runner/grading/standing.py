"""Where each candidate of a session stands: its verdict, or how many audits it needs before it can have one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from runner.grading.calibration.certificates import drift_reason
from runner.grading.context import Candidate
from runner.grading.measurement import summarize_quality, summarize_times
from runner.grading.session import Session
from runner.grading.verdict import audits_due, checks_verdict, judge, unmet
from runner.records.grading import Finding, Grading, Measurement, Quality, Rules
from runner.records.outcome import Outcome, OutcomeKind, infrastructure

# The baseline's last time over its first, past which a note says so; it decides nothing. chosen: jobs on an ordinary host
# show up to 1.15 (`guards.baseline_drift` in results.json).
DRIFT_MAX = 1.25


@dataclass(frozen=True, slots=True)
class Graded:
    """A candidate that has its verdict.

    Attributes:
        run: the candidate's number.
    """

    run: int
    grading: Grading


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a verdict on one candidate follows from."""

    run: int
    rules: Rules
    rounds: int
    measured: Measurement
    quality: Quality
    findings: tuple[Finding, ...]

    def verdict(self, *, last: bool) -> Outcome | None:
        """The verdict that it comes to; None while it comes to none."""
        return judge(self.findings, self.measured, self.quality, self.run, self.rules, self.rounds, last=last)


@dataclass
class Standing:
    """Judges the candidates of a session."""

    session: Session
    _confirmed: set[int] = field(default_factory=set)

    def audits_due(self, candidate: Candidate, last: bool) -> int:
        """On how many further data sets it must be seen, which lacks nothing else to pass; else 0."""
        evidence = self.evidence(candidate)
        if evidence.verdict(last=False) is not None or unmet(evidence.findings, evidence.rules):
            return 0  # what was not checked in a round is made in the next one: no audit has it
        rules, run = evidence.rules, candidate.run
        return audits_due(evidence.measured, evidence.quality, run, rules, evidence.rounds, last=last)

    def validate_certificate(self) -> None:
        """Drop the host's certificate if this job's sentinels contradict it."""
        session = self.session
        certificate = session.rules.certificate
        if certificate is None:
            return
        sentinel_logs = [math.log(sample.seconds) for sample in session.samples if sample.side == "sentinel"]
        reason = drift_reason(certificate, sentinel_logs)
        if reason is not None:
            session.rules = replace(session.rules, certificate=None, no_certificate=reason)
            if certificate.id not in session.context.refused:
                session.note(f"the certificate {certificate.id} is not used: {reason}")
            session.context.refused.add(certificate.id)

    def evidence(self, candidate: Candidate) -> "Evidence":
        """What is known of a candidate by now."""
        session = self.session
        run, rules = candidate.run, replace(session.rules, attempt=candidate.attempt)
        return Evidence(
            run=run,
            rules=rules,
            rounds=session.measured,
            measured=summarize_times(session.samples, run, rules, session.seeds),
            quality=summarize_quality(session.scores.rounds(run), rules),
            findings=(*session.findings[run], *session.scores.findings(run, session.samples)),
        )

    def judge(self, candidate: Candidate, last: bool) -> Graded | None:
        """It with its verdict; None while it has none.

        Args:
            last: there will be no more rounds.
        """
        session = self.session
        run, evidence = candidate.run, self.evidence(candidate)
        rules, measured, quality, findings = evidence.rules, evidence.measured, evidence.quality, evidence.findings
        failure = session.scores.not_judged.get(run)
        if failure is not None and checks_verdict(findings, rules) is None:
            fault = failure.fault(session.context.task.name)
            return Graded(run, Grading(outcome=infrastructure(fault.cause, fault.hint)))
        verdict = evidence.verdict(last=last)
        if verdict is None or self._needs_confirmation(run, verdict, findings, last):
            return None
        sides = {"baseline": "baseline", "candidate": f"candidate {run}"}
        enforced = {side: session.enforced.get(name) for side, name in sides.items()}
        notes = (*session.notes, *_drift_note(measured))
        grading = Grading(
            outcome=verdict,
            findings=findings,
            measurement=measured,
            quality=quality,
            rules=rules,
            notes=notes,
            enforced=enforced,
            preloaded={side: session.preloaded[name] for side, name in sides.items() if name in session.preloaded},
        )
        return Graded(run, grading)

    def _needs_confirmation(self, run: int, verdict: Outcome, findings: Sequence[Finding], last: bool) -> bool:
        """Whether a suspiciously fast pass must wait for one more look at fresh data."""
        suspicious = verdict.kind is OutcomeKind.PASSED and any(finding.check == "too-good" for finding in findings)
        if last or not suspicious or run in self._confirmed:
            return False
        self._confirmed.add(run)
        return True


def _drift_note(measured: Measurement) -> tuple[str, ...]:
    """The baseline is the same file every time: a trend in its times is the host's."""
    if measured.drift is None or 1.0 / DRIFT_MAX <= measured.drift <= DRIFT_MAX:
        return ()
    return (f"the baseline's time changed by a factor of {measured.drift:.2f} while this was measured",)
