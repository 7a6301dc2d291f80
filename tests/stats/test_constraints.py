"""What the tables of stats refuse."""

import datetime
import uuid

from stats.models import (
    Batch,
    ConsumerMark,
    Day,
    EventSource,
    IngestToken,
    Provider,
    ProviderDomain,
    RecipientDomain,
    RefusalCount,
    ReplyRule,
    ReportedName,
    RollupRun,
    Sender,
    SenderDomain,
    Signature,
    SourceCount,
    SourceMapping,
    SourceSample,
    Subject,
)
from tests.factories import A_MOMENT, ServerFactory
from tests.refusals import Refusals

refusals = Refusals("stats")
LEAST, GREATEST = uuid.UUID(int=1), uuid.UUID(int=2)


def run(**columns):
    RollupRun.objects.create(
        **{"kind": "fold", "outcome": "done", "started_at": A_MOMENT, "finished_at": A_MOMENT} | columns
    )


@refusals.by("stats_batch_not_empty")
def _():
    Batch.objects.create(received_at=A_MOMENT, event_count=0, least_key=LEAST, greatest_key=GREATEST)


@refusals.by("stats_batch_keys_ordered")
def _():
    Batch.objects.create(received_at=A_MOMENT, event_count=1, least_key=GREATEST, greatest_key=LEAST)


@refusals.by("stats_consumermark_consumer")
def _():
    ConsumerMark.objects.create(entry_id=LEAST, consumer=9)


@refusals.by("stats_subject_unique")
def _():
    for kind in (1, 2, 1):
        Subject.objects.create(kind=kind, object_id=7, label="acme/mail")


@refusals.by("stats_senderdomain_unique")
def _():
    for server_id in (1, 2, 1):
        SenderDomain.objects.create(server_id=server_id, name="example.com", first_seen_day=0)


@refusals.by("stats_sender_unique")
def _():
    for server_id in (1, 2, 1):
        Sender.objects.create(server_id=server_id, name="ann@example.com", first_seen_day=0)


@refusals.by("stats_recipientdomain_unique")
def _():
    for _ in range(2):
        RecipientDomain.objects.create(server_id=0, name="example.com", first_seen_day=0)


@refusals.by("stats_signature_unique")
def _():
    for _ in range(2):
        Signature.objects.create(server_id=0, name="digest", first_seen_day=0)


def source(**columns):
    number = EventSource.objects.count()
    return EventSource.objects.create(
        **{"name": f"source {number}", "format": "native", "key_prefix": "p", "key_digest": str(number)} | columns
    )


@refusals.by("stats_eventsource_name_unique")
def _():
    source(name="Node")
    source(name="NODE")


@refusals.by("stats_eventsource_name_not_empty")
def _():
    source(name="")


@refusals.by("stats_eventsource_format")
def _():
    source(format="nonsense")


@refusals.by("stats.EventSource.key_digest")
def _():
    source(key_digest="same")
    source(key_digest="same")


@refusals.by("stats_sourcemapping_unique")
def _():
    of = source()
    for _ in range(2):
        SourceMapping.objects.create(source=of, text="pool", server=ServerFactory())


@refusals.by("stats_sourcemapping_text_not_empty")
def _():
    SourceMapping.objects.create(source=source(), text="", server=ServerFactory())


@refusals.by("stats_sourcecount_positive")
def _():
    SourceCount.objects.create(source=source(), hour=0, outcome="accepted", number=0)


@refusals.by("stats_sourcecount_outcome")
def _():
    SourceCount.objects.create(source=source(), hour=0, outcome="lost", number=1)


def sample(**columns):
    columns = {"source": source(), "outcome": "refused", "code": "x", "message": "x", "at": A_MOMENT} | columns
    return SourceSample.objects.create(**columns)


@refusals.by("stats_sourcesample_unique")
def _():
    sample(source=sample().source)


@refusals.by("stats_sourcesample_outcome")
def _():
    sample(outcome="accepted")


@refusals.by("stats_replyrule_reason")
def _():
    ReplyRule.objects.create(pattern="x", reason=0)


@refusals.by("stats_replyrule_not_empty")
def _():
    ReplyRule.objects.create(reason=1)


@refusals.by("stats_provider_name_not_empty")
def _():
    Provider.objects.create(name="")


@refusals.by("stats.Provider.name")
def _():
    Provider.objects.create(name="Example")
    Provider.objects.create(name="Example")


@refusals.by("stats_providerdomain_pattern_not_empty")
def _():
    ProviderDomain.objects.create(provider=Provider.objects.create(name="Example"), pattern="")


@refusals.by("stats.ProviderDomain.pattern")
def _():
    for name in ("One", "Two"):
        ProviderDomain.objects.create(provider=Provider.objects.create(name=name), pattern="mx.example")


@refusals.by("stats_rolluprun_kind")
def _():
    run(kind="guess")


@refusals.by("stats_rolluprun_outcome")
def _():
    run(outcome="perhaps")


@refusals.by("stats_rolluprun_forward")
def _():
    run(finished_at=A_MOMENT - datetime.timedelta(seconds=1))


@refusals.by("stats.IngestToken.key_digest")
def _():
    IngestToken.objects.create(name="One", key_digest="d" * 64)
    IngestToken.objects.create(name="Two", key_digest="d" * 64)


@refusals.by("stats_ingesttoken_name_unique")
def _():
    # A revoked one's name is free.
    for number, revoked_at in enumerate((A_MOMENT, None, None)):
        IngestToken.objects.create(name="Collector", key_digest=str(number), revoked_at=revoked_at)


@refusals.by("stats_ingesttoken_name_not_empty")
def _():
    IngestToken.objects.create(name="", key_digest="d" * 64)


@refusals.by("stats_day_removed")
def _():
    Day.objects.create(day=1, month=23640, year=1970, received_at=A_MOMENT, removed_at=A_MOMENT)


@refusals.by("stats_refusalcount_positive")
def _():
    RefusalCount.objects.create(day=0, server_id=0, code="day_closed", number=0)


@refusals.by("stats_reportedname_unique")
def _():
    for day in (1, 2):
        ReportedName.objects.create(reporter="node mta1", organization="acme", server="mail", last_day=day)


@refusals.by("stats_reportedname_reporter_not_empty")
def _():
    ReportedName.objects.create(reporter="", organization="acme", server="mail", last_day=1)


test_the_database_refuses = refusals.as_test()
