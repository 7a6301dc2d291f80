"""What the readers of vendors' records count, and what not, beside the samples."""

import io
import json

import pytest

from stats.intake import sources
from tests.stats.intake.goldens import SAMPLES


def read(format, *records, **told):  # noqa: A002
    body = b"".join(json.dumps(each).encode() + b"\n" for each in records)
    return list(sources.make(format, sources.Settings(**told)).read([io.BytesIO(body)]))


def kinds(outcomes):
    return [
        each.fields["type"]
        if isinstance(each, sources.Event)
        else each.word
        if isinstance(each, sources.Ignored)
        else each.code
        for each in outcomes
    ]


def sample(format, file, number):  # noqa: A002
    text = (SAMPLES / format / file).read_text()
    return json.loads(text)[number] if text.startswith("[") else json.loads(text.splitlines()[number])


# KumoMTA


def kumo(**changes):
    return {**sample("kumomta", "records.ndjson", 1), **changes}


def failure(content, peer=None):
    response = {"code": 400, "enhanced_code": None, "content": content, "command": None}
    return kumo(type="TransientFailure", peer_address=peer, source_address=None, response=response)


@pytest.mark.parametrize(
    "content",
    [
        "KumoMTA internal: failed to connect to any candidate hosts: All failures are related to connection timeouts",
        "KumoMTA internal: failed to connect to any candidate hosts: Connection refused (os error 111) from configured source",
        "KumoMTA internal: Timed Out waiting 60s for response to Banner",
        "KumoMTA internal: Network is unreachable",
        "KumoMTA internal: connection reset by peer",
        'KumoMTA internal: failed to send message to suspend.throttled.example Some("proxy"): Timed Out waiting 60s to write x',
        "no prefix",
    ],
)
def test_kumomta_counts_failed_attempts_at_receivers(content):
    assert kinds(read("kumomta", failure(content))) == ["deferred"]


@pytest.mark.parametrize(
    "content",
    [
        "KumoMTA internal: throttled: connection rate limit reached",
        "KumoMTA internal: delivery suspended by the administrator",
        "KumoMTA internal: egress source ip-1 is not configured",
        "KumoMTA internal: shutting down",
        "KumoMTA internal: ready queue throttled",
        "KumoMTA internal: scheduled queue is suspended: mx trouble",
        "KumoMTA internal: no sources for big.example pool=`main` are eligible for selection at this time",
        "KumoMTA internal: MX consisted solely of hosts on the skip_hosts list",
        "KumoMTA internal: returning message to scheduled queue",
        "KumoMTA internal: failed to connect to any candidate hosts: x related to having an unplumbed source address",
        "KumoMTA internal: failed to connect to any candidate hosts: All failures are related to proxy connection issues. x",
        "KumoMTA internal: something new",
    ],
)
def test_kumomta_does_not_count_its_own_doing(content):
    assert kinds(read("kumomta", failure(content))) == ["own_deferral"]
    assert kinds(read("kumomta", failure(content, peer={"name": "mx.", "addr": "192.0.2.1"}))) == ["deferred"]


@pytest.mark.parametrize(
    "word", ["Delayed", "Rejection", "XferOut", "XferIn", "AdminRebind", "DeferredInjectionRebind", "New"]
)
def test_kumomta_ignores_words_that_are_no_outcomes(word):
    assert kinds(read("kumomta", kumo(type=word))) == [word]


@pytest.mark.parametrize(
    ("changes", "told", "server"),
    [
        ({}, {}, "acme/marketing"),
        ({"meta": {}}, {}, "acme/marketing"),
        ({"meta": {}, "queue": "welcome:globex/news@big.example!route"}, {}, "globex/news"),
        ({"meta": {}, "queue": "big.example"}, {}, None),
        ({"meta": None, "queue": None}, {}, None),
        ({"meta": {"customer": "globex/news"}}, {"tenant_field": "meta.customer"}, "globex/news"),
        ({"headers": {"X-Tenant": "globex/news"}}, {"tenant_field": "x-tenant"}, "globex/news"),
        # With a field of one's own the queue says nothing.
        ({}, {"tenant_field": "meta.customer"}, None),
    ],
)
def test_kumomta_finds_the_tenant(changes, told, server):
    (event,) = read("kumomta", kumo(**changes), **told)
    assert event.fields.get("server") == server


def test_kumomta_times_and_addresses():
    (event,) = read("kumomta", kumo(event_time=1795746904.417, created_time=None, created=1795746903))
    assert (event.fields["at"], event.fields["seconds"]) == ("2026-11-27T02:35:04.417Z", 1.417)
    (event,) = read(
        "kumomta", kumo(source_address={"address": "[2001:db8::11]:48214", "protocol": None, "server": None})
    )
    assert event.fields["ip"] == "2001:db8::11"


def test_kumomta_ids_are_of_the_happening():
    """One id is common to reception, deferrals and delivery, and their times may be equal."""
    records = [kumo(type=word, num_attempts=n) for word in ("Delivery", "TransientFailure") for n in (0, 1)]
    records += [kumo(recipient=["a@b.example", "c@d.example"])]
    ids = [event.fields["id"] for event in read("kumomta", *records)]
    assert len(set(ids)) == 6
    assert ids == [event.fields["id"] for event in read("kumomta", *records)]


def test_kumomta_late_bounces_and_complaints_with_a_tenant():
    late = sample("kumomta", "records.ndjson", 10)
    (event,) = read("kumomta", {**late, "meta": {"tenant": "acme/marketing"}})
    assert (event.fields["type"], event.fields["server"]) == ("late_bounce", "acme/marketing")
    complaint = sample("kumomta", "records.ndjson", 11)
    complaint["feedback_report"]["supplemental_trace"]["tenant"] = "acme/marketing"
    (event,) = read("kumomta", complaint)
    assert (event.fields["type"], event.fields["server"]) == ("complaint", "acme/marketing")
    complaint["feedback_report"]["feedback_type"] = "not-spam"
    assert kinds(read("kumomta", complaint)) == ["Feedback not-spam"]


# Optional fields


def test_an_optional_field_that_cannot_be_read_is_left_out_with_a_warning():
    response = {"code": 9999, "enhanced_code": "x", "content": ["a"]}
    (event,) = read("kumomta", kumo(response=response, num_attempts="many", sender=["a"], recipient={"a": 1}))
    assert [each.code for each in event.warnings] == [
        "invalid_from", "invalid_reply", "invalid_code", "invalid_enhanced", "invalid_attempt", "invalid_to",
    ]  # fmt: skip
    assert sorted(event.fields) == ["at", "id", "ip", "mx", "seconds", "server", "type"]


@pytest.mark.parametrize(
    ("said", "read_as"),
    [
        ("<a@b.example>", "a@b.example"),
        ("<>", ""),
        ("", ""),
        ("root", "root"),
        ("user@[192.0.2.1]", "user@[192.0.2.1]"),
        ("user@my_host.example.com", "user@my_host.example.com"),
        ("Acme <news@acme.example>", "news@acme.example"),
        ('"<x@y>" <news@acme.example>', "news@acme.example"),
        ('"odd > user"@b.example', '"odd > user"@b.example'),
    ],
)
def test_mailboxes(said, read_as):
    (event,) = read("kumomta", kumo(sender=said))
    assert (event.fields["from"], event.warnings) == (read_as, ())


def test_replies_are_cut_at_a_thousand_characters():
    (event,) = read("kumomta", kumo(response={"code": 550, "content": "x" * 5000}))
    assert len(event.fields["reply"]) == 1000


@pytest.mark.parametrize(
    ("at", "read_as"),
    [
        ("2026-11-27T02:35:04z", "2026-11-27T02:35:04.000Z"),
        ("2026-11-27T03:35:04.1234567+01:00", "2026-11-27T02:35:04.123Z"),
        (1795746904, "2026-11-27T02:35:04.000Z"),
        (1795746904417, "2026-11-27T02:35:04.417Z"),
        ("1795746904.417", "2026-11-27T02:35:04.417Z"),
    ],
)
def test_times(at, read_as):
    (event,) = read("kumomta", kumo(event_time=at))
    assert event.fields["at"] == read_as


@pytest.mark.parametrize(
    "at", [None, "", "now", "2026-11-27T02:35:04", -1, 1e300, float("nan"), [], {}, True, "0001-01-01T00:00:00+14:00"]
)
def test_it_rejects_times_that_are_none(at):
    body = json.dumps(kumo(event_time=at, timestamp=None)).replace("NaN", "null")
    (refused,) = sources.make("kumomta", sources.Settings()).read([io.BytesIO(body.encode())])
    assert refused.code in {"invalid_at", "no_offset"}


@pytest.mark.parametrize("identifier", [None, "", "x" * 101, [], {}, False])
def test_it_rejects_records_without_an_id(identifier):
    assert kinds(read("kumomta", kumo(id=identifier))) == ["invalid_id"]


# PowerMTA


def rows(*lines, **told):
    header = "type,timeLogged,orig,rcpt,dsnStatus,dsnDiag,dlvSourceIp,vmta,rcvSmtpUser,header_X-Tenant"
    body = "\n".join([header, *lines]).encode()
    return list(sources.make("powermta", sources.Settings(**told)).read([io.BytesIO(body)]))


def row(word="d", at="2026-11-27 02:35:04+0000", user="acme/marketing", header="", rcpt="a@b.example"):
    return f'{word},{at},news@acme.example,{rcpt},2.0.0 (success),"smtp;250 2.0.0 Ok",192.0.2.11,v1,{user},{header}'


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("d", "sent"), ("t", "deferred"), ("b", "bounced"), ("r", "incoming"), ("f", "complaint"), ("rb", "late_bounce"),
        ("rs", "rs"), ("tq", "tq"), ("zz", "zz"),
    ],
)  # fmt: skip
def test_powermta_words(word, kind):
    assert kinds(rows(row(word))) == [kind]


def test_powermta_equal_rows_are_two_and_a_replay_is_the_same():
    first = [each.fields["id"] for each in rows(row(), row(), row(rcpt="c@d.example"), row())]
    assert len(set(first)) == 4
    assert [each.fields["id"] for each in rows(row(), row(), row(rcpt="c@d.example"), row())] == first


def test_powermta_finds_tenant_and_time():
    (event,) = rows(
        row(at="2026-11-27 03:35:04", user="", header="globex/news"), tenant_field="X-Tenant", time_zone="Europe/Berlin"
    )
    assert (event.fields["server"], event.fields["at"]) == ("globex/news", "2026-11-27T02:35:04.000Z")
    (event,) = rows(row(at="1795746904", user=""))
    assert (event.fields.get("server"), event.fields["at"]) == (None, "2026-11-27T02:35:04.000Z")


# GreenArrow


def arrow(number=0, **changes):
    return {**sample("greenarrow", "batch.json", number), **changes}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"status": "failure_toolong"}, "bounced"),
        ({"status": "connmaxout"}, "connmaxout"),
        ({"status": "new"}, "new"),
        ({"channel": "local"}, "local"),
        ({"event_type": "engine_open"}, "engine_open"),
        ({"event_type": "bounce_all", "synchronous": True}, "bounce_all"),
        ({"event_type": "bounce_all", "synchronous": "1"}, "bounce_all"),
        ({"event_type": "bounce_all", "synchronous": 0}, "late_bounce"),
        ({"event_type": "scomp"}, "complaint"),
        ({"event_type": None}, "invalid_event"),
    ],
)
def test_greenarrow_words(changes, kind):
    assert kinds(read("greenarrow", arrow(**changes))) == [kind]


@pytest.mark.parametrize(("throttle", "rule"), [(31, 31), ("31", 31), ("", 0), (None, 0), ("x", None)])
def test_greenarrow_throttles_are_rules(throttle, rule):
    (event,) = read("greenarrow", arrow(throttleid=throttle))
    assert event.fields.get("rule") == rule


def test_greenarrow_finds_the_tenant_in_a_header():
    (event,) = read("greenarrow", arrow(headers={"X-Customer": ["globex/news"]}), tenant_field="x-customer")
    assert event.fields["server"] == "globex/news"
    (event,) = read("greenarrow", arrow(headers={"X-Sluice-Server": "globex/news"}))
    assert event.fields["server"] == "globex/news"
    (event,) = read("greenarrow", arrow(event_unique_id=77))
    assert event.fields["id"] == "77"


# Postal


def postal(number=0, **changes):
    record = sample("postal", "webhooks.ndjson", number)
    record["payload"].update(changes)
    return record


def test_postal_addresses_are_read_at_the_end_of_the_details():
    details = 'Message for "(from 203.0.113.9)"@big.example accepted by 198.51.100.10:25 (mx1.big.example)'
    (event,) = read("postal", postal(details=details))
    assert "ip" not in event.fields
    assert event.fields["mx"] == "mx1.big.example"


@pytest.mark.parametrize(
    "word", ["MessageLoaded", "MessageLinkClicked", "DomainDNSError", "SendLimitApproaching", "New"]
)
def test_postal_ignores_other_words(word):
    assert kinds(read("postal", {**postal(), "event": word})) == [word]


def test_postal_ignores_mail_that_came_in():
    message = {**postal()["payload"]["message"], "direction": "incoming"}
    assert kinds(read("postal", postal(message=message))) == ["MessageSent of an incoming message"]


def test_postal_attempts_at_one_message_are_several_events():
    first, second = read("postal", postal(1), postal(1, timestamp=1795747906.9))
    assert first.fields["id"] != second.fields["id"]


# Amazon SES


def ses(number=0, **changes):
    return {**sample("ses", "events.ndjson", number), **changes}


def sns(record, **changes):
    return {
        "Type": "Notification",
        "TopicArn": "arn:aws:sns:x",
        "MessageId": "1",
        "Message": json.dumps(record),
        **changes,
    }


def test_ses_in_its_envelope_and_raw():
    events = read("ses", sns(ses(1)), ses(1))
    assert events[0].fields == events[1].fields
    assert read("ses", sns({}, Type="SubscriptionConfirmation", SubscribeURL="https://sns.example/x")) == [
        sources.Ignored(0, "SubscriptionConfirmation", detail="https://sns.example/x")
    ]
    assert read("ses", sns({}, Message="Successfully validated SNS topic")) == [
        sources.Ignored(0, "Notification", detail="Successfully validated SNS topic")
    ]


@pytest.mark.parametrize(
    ("number", "member", "changes", "kind"),
    [
        (3, "bounce", {"bounceType": "Transient"}, "Bounce Transient"),
        (3, "bounce", {"bounceType": "Undetermined"}, "Bounce Undetermined"),
        (2, "deliveryDelay", {"delayType": "InternalFailure"}, "DeliveryDelay InternalFailure"),
        (2, "deliveryDelay", {"delayType": "MailboxFull"}, "deferred"),
    ],
)
def test_ses_words(number, member, changes, kind):
    record = ses(number)
    record[member].update(changes)
    assert kinds(read("ses", record)) == [kind]
    assert kinds(read("ses", ses(eventType="Open"), ses(eventType=None))) == ["Open", "invalid_event"]


@pytest.mark.parametrize(
    ("tag", "field", "server"),
    [
        ("acme_marketing", "", "acme/marketing"),
        ("acme_marketing", "tags.sluice-server", "acme/marketing"),
        ("0f4c1d2e-0000-4000-8000-000000000001", "tags.sluice-server", "0f4c1d2e-0000-4000-8000-000000000001"),
        ("a_b_c", "", "a_b_c"),
        ("acme_marketing", "tags.tenant", None),
    ],
)
def test_ses_finds_the_tenant_in_a_tag(tag, field, server):
    record = ses(1)
    record["mail"]["tags"]["sluice-server"] = [tag]
    (event,) = read("ses", record, tenant_field=field)
    assert event.fields.get("server") == server


def test_ses_finds_the_tenant_in_a_header():
    record = ses(1)
    record["mail"]["headers"] = [{"name": "From", "value": "a@b"}, {"name": "X-Tenant", "value": "globex/news"}]
    (event,) = read("ses", record, tenant_field="X-Tenant")
    assert event.fields["server"] == "globex/news"


# SendGrid


@pytest.mark.parametrize("place", [{"tenant": "globex/news"}, {"unique_args": {"tenant": "globex/news"}}])
def test_sendgrid_finds_the_tenant_in_unique_arguments(place):
    record = {**sample("sendgrid", "batch.json", 2), **place}
    (event,) = read("sendgrid", record, tenant_field="unique_args.tenant")
    assert event.fields["server"] == "globex/news"


@pytest.mark.parametrize("word", ["open", "click", "unsubscribe", "group_resubscribe", "new"])
def test_sendgrid_ignores_other_words(word):
    assert kinds(read("sendgrid", {**sample("sendgrid", "batch.json", 2), "event": word})) == [word]
