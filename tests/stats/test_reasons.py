"""Why: classes and signatures of replies, operators' own rules, classifying again, and what reports read."""

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
from stats.models import Event, ReplyRule, Signature
from stats.reasons import NUMBERS
from stats.reports import reasons
from stats.reports.reasons import Attempts, Replies
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
    assert reasons.by_class([server], DAY, DAY) == {
        "no_such_mailbox": Replies(0, 2, 1),
        "unknown": Replies(0, 1, 0),
        "mailbox_full": Replies(1, 0, 0),
    }
    assert reasons.by_class([server + 1], DAY, DAY) == {}
    hour = buckets.hour_of(NOW)
    assert reasons.by_hour_and_class(None, hour, hour)[hour]["no_such_mailbox"] == Replies(0, 2, 1)
    assert reasons.by_address_provider_and_class([address], DAY, DAY)[address]["Gmail"]["mailbox_full"] == Replies(1)
    found = reasons.by_signature([address], DAY, DAY)
    assert [each.replies for each in found] == [Replies(0, 2, 0), Replies(1, 0, 0)]
    assert all("ann" not in each.text and "bob" not in each.text for each in found)
    assert Signature.objects.count() == 2
    assert reasons.by_rule([address], Grain.HOUR, hour, hour) == {(address, 0): Attempts(1, 1, 3)}
    assert reasons.latencies(None, DAY, DAY) == {0: Attempts(1, 0, 0), 2: Attempts(0, 0, 1)}
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
    assert reasons.by_class(None, DAY, DAY) == {"content": Replies(0, 4, 0)}
    assert audit(now=NOW).is_clean
    assert rebuild(now=NOW) == 0
    reply_rules.change_rule(rule=rule, reason=NUMBERS["blocked"], actor=ACTOR)
    rebuild(now=NOW)
    assert reasons.by_class(None, DAY, DAY) == {"blocked": Replies(0, 4, 0)}
    reply_rules.delete_rule(rule=ReplyRule.objects.get(), actor=ACTOR)
    rebuild(now=NOW)
    assert list(reasons.by_class(None, DAY, DAY)) == before[:1]
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
