"""The result of one DNS check, in a form that can be stored, shown and compared."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dnschecks.checked import DNSStatus
from dnschecks.resolver import Answer

# Raw answers are shown to users. Longer ones are abuse.
LONGEST_ANSWER = 8_000


@dataclass(frozen=True, slots=True)
class Finding:
    """A status with a sentence that says what to change (empty if OK) and the raw answers.

    `status` None: nothing could be learned, and what was known before stays; `error` says why. `warning`: what a person should
    know although the record is accepted. `facts`: what else was learned, stored beside the answer. `is_moot`: there is nothing
    to ask, so no status is right; `error` says why.
    """

    status: DNSStatus | None
    error: str = ""
    answer: str = ""
    warning: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    is_moot: bool = False

    @property
    def is_failure(self) -> bool:
        return self.status is None and not self.is_moot


Findings = Mapping[str, Finding]


def ok(*answers: Answer, warning: str = "", facts: Mapping[str, str] | None = None) -> Finding:
    """The record is correct."""
    return Finding(DNSStatus.OK, "", raw(*answers), warning, facts or {})


def missing(sentence: str, *answers: Answer, facts: Mapping[str, str] | None = None) -> Finding:
    """The record does not exist."""
    return Finding(DNSStatus.MISSING, sentence, raw(*answers), facts=facts or {})


def invalid(sentence: str, *answers: Answer, facts: Mapping[str, str] | None = None) -> Finding:
    """The record exists and is wrong."""
    return Finding(DNSStatus.INVALID, sentence, raw(*answers), facts=facts or {})


def moot(sentence: str) -> Finding:
    """The check does not apply."""
    return Finding(None, sentence, is_moot=True)


def failed(*answers: Answer) -> Finding:
    """The resolver failed, so the status is unknown."""
    causes = "; ".join(
        f"{each.name} {each.rdtype}: {each.outcome}, {each.detail}" for each in answers if each.is_failure
    )
    return Finding(None, f"DNS could not be queried ({causes}).", raw(*answers))


def raw(*answers: Answer) -> str:
    """Return the answers in master-file form, one after the other, each once."""
    text = "\n".join(dict.fromkeys(each.describe() for each in answers))
    return text if len(text) <= LONGEST_ANSWER else text[:LONGEST_ANSWER] + "\n…"


def columns(findings: Findings, *, stored: Mapping[str, Any], at: datetime.datetime) -> dict[str, Any]:
    """Return what to write for these findings: `<check>_status`, `<check>_error` and `dns_answers`.

    `stored` is the row's `dns_answers`. A failure leaves the status and the answer that it rests on, and adds itself.
    """
    written: dict[str, Any] = {}
    answers = dict(stored)
    for check, finding in findings.items():
        error = finding.error
        if finding.is_failure and "at" in answers.get(check, {}):
            error += " The last known status is shown."
        written[f"{check}_error"] = printable(error)
        answer = "\n".join(map(printable, finding.answer.split("\n")))
        if finding.is_failure:
            answers[check] = {**answers.get(check, {}), "failure": answer, "failed_at": at.isoformat()}
        else:
            written[f"{check}_status"] = finding.status
            warning = {"warning": printable(finding.warning)} if finding.warning else {}
            answers[check] = {"answer": answer, "at": at.isoformat(), **warning, **finding.facts}
    written["dns_answers"] = answers
    return written


def printable(text: str) -> str:
    """Return the text with a decimal escape, as in master files, for what neither a page nor PostgreSQL (NUL) takes as text.

    Texts from DNS are any bytes.
    """
    return "".join(each if each.isprintable() else f"\\{ord(each):03d}" for each in text)
