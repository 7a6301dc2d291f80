"""Why: classes and signatures of replies, operators' own rules, classifying again, and what reports read."""

from collections.abc import Mapping
from typing import Any

import pytest

from core.errors import Invalid
from core.models import AuditEntry
from stats.counts import buckets
from stats.counts.audit import audit, rebuild
from stats.counts.buckets import Grain
from stats.counts.fold import fold_all
from stats.intake import numbering, reply_rules
from stats.intake.ingest import CONFLICT, Receipt, Remark, Reporter, ingest
from stats.models import (
    AddressReasonCount,
    Event,
    LatencyCount,
    Provider,
    ReasonCount,
    ReplyRule,
    Signature,
    ThrottleCount,
)
from stats.reasons import NUMBERS
from stats.reports import reasons
from stats.reports.reader import Counts, rows_of, sums_of
from stats.reports.reasons import Replies
from tests.stats.conftest import ACTOR, NOW, Tenant
from tests.stats.events import assert_counts, event

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

PLATFORM = Reporter()
DAY = buckets.day_of(NOW)
UNKNOWN_USER = "550 5.1.1 <{}@example.com>: user unknown"


def bounce(tenant: Tenant, number: int, reply: str | None, **changes: Any) -> dict[str, Any]:
    return event(tenant, **{"id": str(number), "type": "bounced", "reply": reply} | changes)


def reason_words() -> list[str]:
    words = {number: word for word, number in NUMBERS.items()}
    return [words[each] for each in Event.objects.order_by("batch_id", "key").values_list("reason", flat=True)]


def by_class(**ids: Any) -> dict[str, Replies]:
    """Return the day's replies by class, most bounces first."""
    words = {number: word for word, number in NUMBERS.items()}
    found = {words[key[0]]: Replies.of(counts) for key, counts in sums_of(_daily(**ids), "reason").items()}
    return dict(sorted(found.items(), key=lambda item: (-item[1].bounced, -item[1].deferred, item[0])))


def _daily(**ids: Any) -> Any:
    return rows_of(ReasonCount, Grain.DAY, [DAY], **ids)


def attempts(found: Mapping[Any, Counts]) -> dict[Any, tuple[int, int, int]]:
    return {key: (counts.sent, counts.deferred, counts.bounced) for key, counts in found.items()}


def test_it_works(acme: Tenant) -> None:
    events = [
        bounce(acme, 1, UNKNOWN_USER.format("ann")),
        bounce(acme, 2, UNKNOWN_USER.format("bob")),
        bounce(acme, 3, "452 4.2.2 mailbox of this user is full", type="deferred"),
        bounce(acme, 4, None, seconds=3),
        bounce(acme, 5, UNKNOWN_USER.format("eve"), type="late_bounce", ip=None),
        event(acme, id="6", reply="250 2.0.0 ok", seconds=0.2),
    ]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=6)
    assert_counts(events)
    assert set(reason_words()) == {"no_such_mailbox", "unknown", "mailbox_full"}
    server, address = acme.server.pk, acme.addresses[0].pk
    assert by_class(server_id=[server]) == {
        "no_such_mailbox": Replies(0, 2, 1),
        "unknown": Replies(0, 1, 0),
        "mailbox_full": Replies(1, 0, 0),
    }
    assert by_class(server_id=[server + 1]) == {}
    hour = buckets.hour_of(NOW)
    hourly = sums_of(rows_of(ReasonCount, Grain.HOUR, [hour]), "reason")
    assert Replies.of(hourly[NUMBERS["no_such_mailbox"],]) == Replies(0, 2, 1)
    gmail = Provider.objects.get(name="Gmail").pk
    daily = sums_of(rows_of(AddressReasonCount, Grain.DAY, [DAY], address_id=[address]), "provider_id", "reason")
    assert Replies.of(daily[gmail, NUMBERS["mailbox_full"]]) == Replies(1)
    found = reasons.by_signature([address], DAY, DAY)
    assert [each.replies for each in found] == [Replies(0, 2, 0), Replies(1, 0, 0)]
    assert all("ann" not in each.text and "bob" not in each.text for each in found)
    assert Signature.objects.count() == 2
    by_rule = sums_of(rows_of(ThrottleCount, Grain.HOUR, [hour], address_id=[address]), "rule_id")
    assert attempts(by_rule) == {(0,): (1, 1, 3)}
    latencies = sums_of(rows_of(LatencyCount, Grain.DAY, [DAY]), "latency")
    assert attempts(latencies) == {(0,): (1, 0, 0), (2,): (0, 0, 1)}
    assert audit(now=NOW).is_clean


def test_another_class_is_a_conflict(acme: Tenant) -> None:
    first, other = (
        bounce(acme, 1, UNKNOWN_USER.format("ann")),
        bounce(acme, 1, "452 4.2.2 mailbox of this user is full"),
    )
    assert ingest([first], reporter=PLATFORM, now=NOW) == Receipt(accepted=1)
    assert ingest([other], reporter=PLATFORM, now=NOW) == Receipt(conflicts=[Remark(0, "conflict", CONFLICT)])
    # Another wording of the same reason is a replay.
    assert ingest([bounce(acme, 1, UNKNOWN_USER.format("bob"))], reporter=PLATFORM, now=NOW) == Receipt(duplicates=1)


def test_signatures_are_bounded(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(numbering.ALLOWANCES, Signature, numbering.Allowance(2, 3))
    words = ["apple", "birch", "cedar", "daisy", "elder"]
    for number, word in enumerate(words):
        told = [bounce(acme, number, f"550 refused by the {word} gate of this house")]
        assert ingest(told, reporter=PLATFORM, now=NOW) == Receipt(accepted=1)
    fold_all(now=NOW)
    found = reasons.by_signature(None, DAY, DAY)
    assert (len(found), found[0].text, found[0].replies.bounced) == (3, "other", 3)


def test_a_rebuild_classifies_again_by_the_operators_rules(acme: Tenant) -> None:
    events = [bounce(acme, number, "550 the moon is in the wrong house") for number in range(3)]
    ingest(events, reporter=PLATFORM, now=NOW)
    fold_all(now=NOW)
    before = reason_words()
    rule = reply_rules.create_rule(pattern="moon", reason=NUMBERS["content"], actor=ACTOR)
    assert before != ["content"] * 3
    ingest([bounce(acme, 9, "550 the moon is in the wrong house")], reporter=PLATFORM, now=NOW)
    assert reason_words() == [*before, "content"]
    assert rebuild(now=NOW) > 0
    fold_all(now=NOW)
    assert reason_words() == ["content"] * 4
    assert by_class() == {"content": Replies(0, 4, 0)}
    assert audit(now=NOW).is_clean
    assert rebuild(now=NOW) == 0
    reply_rules.change_rule(rule=rule, reason=NUMBERS["blocked"], actor=ACTOR)
    rebuild(now=NOW)
    assert by_class() == {"blocked": Replies(0, 4, 0)}
    reply_rules.delete_rule(rule=ReplyRule.objects.get(), actor=ACTOR)
    rebuild(now=NOW)
    assert list(by_class()) == before[:1]
    acts = AuditEntry.objects.filter(act__startswith="reply_rule").order_by("pk").values_list("act", flat=True)
    assert list(acts) == ["reply_rule.created", "reply_rule.changed", "reply_rule.deleted"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"reason": 1}, "pattern is required"),
        ({"reason": 0, "pattern": "x"}, "reason must be"),
        ({"reason": 99, "pattern": "x"}, "reason must be"),
        ({"reason": 1, "pattern": "x" * 1001}, "pattern must be at most"),
        ({"reason": 1, "code": "nine"}, "cannot be used"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        reply_rules.create_rule(actor=ACTOR, **values)
