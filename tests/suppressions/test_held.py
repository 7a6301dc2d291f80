"""What a node stops is held, of class "suppressed": counted by server, never sent, and no evidence of its own."""

import pytest

from agent.agent_suppressions import ENHANCED_CODE, REPLY_CODE, SENTENCE
from stats.counts.buckets import Grain
from stats.counts.fold import fold_all
from stats.intake.ingest import Reporter, ingest
from stats.models import Event, ReasonCount, ServerCount
from stats.reasons import Reason
from suppressions.models import Suppression
from tests.cast import Tenant
from tests.stats.events import event
from tests.suppressions.conftest import NOW

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
REPLY = f"{REPLY_CODE} {ENHANCED_CODE} {SENTENCE}"


def counts(model: type, tenant: Tenant, **keys: object) -> list[tuple[int, int, int]]:
    rows = model._default_manager.filter(grain=Grain.DAY, server_id=tenant.server.pk, **keys)
    return [(row.held, row.bounced, getattr(row, "sent", 0)) for row in rows]


def test_a_stopped_attempt_is_held_and_of_its_class(acme: Tenant, globex: Tenant) -> None:
    stopped = event(
        acme, id="1", type="held", ip=None, code=REPLY_CODE, enhanced=ENHANCED_CODE, reply=REPLY, to="bob@gmail.com"
    )
    assert ingest([stopped], reporter=Reporter(), now=NOW).accepted == 1
    fold_all(now=NOW)
    assert Event.objects.get().reason == Reason.SUPPRESSED
    assert counts(ReasonCount, acme, reason=Reason.SUPPRESSED) == [(1, 0, 0)]
    assert counts(ServerCount, acme) == [(1, 0, 0)]
    assert ReasonCount.objects.filter(server_id=globex.server.pk).count() == 0
    assert Suppression.objects.count() == 0


@pytest.mark.parametrize("reply", ["550 5.1.1 user unknown", "the server is in development mode", None])
def test_other_held_messages_have_no_class(acme: Tenant, reply: str | None) -> None:
    assert ingest([event(acme, type="held", ip=None, reply=reply)], reporter=Reporter(), now=NOW).accepted == 1
    fold_all(now=NOW)
    assert Event.objects.get().reason == Reason.UNKNOWN
    assert (counts(ReasonCount, acme), counts(ServerCount, acme)) == ([], [(1, 0, 0)])
