"""Suppression lists as other vendors export them: read by their columns, or refused by the columns' names."""

import pytest
from django.urls import reverse
from django.utils import timezone

from panel.bulk.csv_import import rows_of
from suppressions import rules, suppression_file
from suppressions.from_events import Evidence, suppress_recipients
from suppressions.models import Reason, Suppression
from tests.panel.conftest import SYSTEM, sign_in
from tests.panel.test_suppressions import upload

FILES = {
    "SES": "EmailAddress,Reason,LastUpdateTime\n{},BOUNCE,2026-11-20T10:00:00Z\n",
    "SendGrid, bounces": 'status,reason,email,created\n5.1.1,"550 5.1.1 unknown, bye",{},1763632800\n',
    "SendGrid, spam reports": "ip,email,created\n192.0.2.1,{},1763632800\n",
    "SendGrid, unsubscribes": "email,created\n{},1763632800\n",
    "Mailgun, bounces": 'address,code,error,created_at\n{},550,"No such user","Thu, 20 Nov 2026 10:00:00 UTC"\n',
    "Mailgun, unsubscribes": 'address,tags,created_at\n{},"[""*""]","Thu, 20 Nov 2026 10:00:00 UTC"\n',
    "Postmark": "EmailAddress,SuppressionReason,Origin,CreatedAt\n{},HardBounce,Recipient,2026-11-20T10:00:00-05:00\n",
    "GreenArrow": "\ufeffEmail Address;Added At\r\n{};2026-11-20 10:00:00\r\n",
    "PowerMTA": (
        "type,timeLogged,timeQueued,orig,rcpt,dsnAction,dsnStatus,dsnDiag,bounceCat,vmta,jobId\n"
        "b,2026-11-20 10:00:00+0000,2026-11-20 09:59:00+0000,bounce@acme.example,{},failed,5.1.1,x,bad-mailbox,v1,j1\n"
    ),
    "with a blank in its name": "E-Mail Address\n{}\n",
    "recipient": "Recipient\tDescription\n{}\tx\n",
    "Mailgun, other codes": "address,code\n{},605\n",
    "contacts that bounced": "Email,Status\n{},Hard Bounced\n",
    "contacts that left": "email;status;tags\n{};UNSUBSCRIBED;x\n",
    "without a word of it": "email,status,event\n{},,\n",
    "events": "email,event\n{},spam_report\n",
    "without types": "rcpt,dsnAction\n{},failed\n",
    "Postmark, bounces": "Type,Email\nHardBounce,{}\n",
    "SparkPost": "recipient,type,source,description,created,updated\n{},,Bounce Rule,550 5.1.1,2026-11-20,2026-11-20\n",
}


@pytest.mark.parametrize("name", FILES)
def test_vendors_lists_are_read_as_they_are(name, acme):
    response = upload(sign_in(acme.operator), FILES[name].format("ann@x.example"), confirmed="yes")
    assert response.status_code == 302, response.context["form"].non_field_errors()
    assert Suppression.objects.exclude(pk=acme.suppression.pk).get().masked == "a…n@x.example"


def refusals(acme, text):
    response = upload(sign_in(acme.operator), text, confirmed="yes")
    assert Suppression.objects.count() == 1
    return [str(each) for each in response.context["form"].non_field_errors()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "email,recipient\nann@x.example,bob@x.example\n",
            "The columns “email” and “recipient” can each be “address”: leave one of them in the file",
        ),
        # Of people it may be a street.
        (
            "Email Address,Address\nann@x.example,Main Street 1\n",
            "The columns “email address” and “address” can each be “address”: leave one of them in the file",
        ),
        ("Email,email\nann@x.example,bob@x.example\n", "A column is named twice"),
        ("email,transactional\nann@x.example,false\n", "There is no column “transactional”"),
        ("reason,created\n550,1763632800\n", "The column “address” is missing"),
        ("ann@x.example,BOUNCE\nbob@x.example,BOUNCE\n", "The first row must name the columns: write “address”"),
        (
            "email,status\nann@x.example,bounced\nbob@x.example,active\n",
            "line 3.status is “active”, which does not say that the address is suppressed: leave out the row, or empty",
        ),
        ("email,status\nann@x.example,subscribed\n", "line 2.status is “subscribed”"),
        ("email,status\nann@x.example,soft bounce\n", "line 2.status is “soft bounce”"),
        ("email,status\nann@x.example,1\n", "line 2.status is “1”"),
        # A delay.
        ("email,status\nann@x.example,4.4.7\n", "line 2.status is “4.4.7”"),
        ("email,event\nann@x.example,delivered\n", "line 2.event is “delivered”"),
        ("email,code\nann@x.example,250\n", "line 2.code is “250”"),
        ("rcpt,dsnAction\nann@x.example,relayed\n", "line 2.dsnaction is “relayed”"),
        (
            "type,rcpt\nb,ann@x.example\nd,bob@x.example\n",
            "line 3.type is “d”, which does not say that the address is suppressed: leave out the row, or empty the cell",
        ),
        (
            'address,tags,created_at\nann@x.example,"[""promo""]",x\n',
            'line 2.tags is “["promo"]”: the address is suppressed for that kind of mail alone, and here it would be',
        ),
        ("address,tags\nann@x.example,promo\n", "line 2.tags is “promo”: the address is suppressed for that kind of"),
        (
            "recipient,type,source\nann@x.example,non_transactional,Unsubscribe Link\n",
            "line 2.type is “non_transactional”: the address is suppressed for that kind of mail alone, and here it would be",
        ),
        (
            "recipient,type\nann@x.example,Transactional\n",
            "line 2.type is “Transactional”: the address is suppressed for",
        ),
        ("email,type\nann@x.example,SoftBounce\n", "line 2.type is “SoftBounce”, which does not say"),
        # The id of an event stands beside the address's own mask alone.
        ("email,event\nann@x.example,7\n", "line 2.event is “7”"),
    ],
)
def test_what_could_be_another_is_refused_by_its_name(text, said, acme):
    first, *more = refusals(acme, text)
    assert first.startswith(said)
    assert more == []


def test_no_name_of_a_column_stands_for_two_things():
    known = {*suppression_file.READ}
    assert not known & {*suppression_file.ALIASES} - {"address"}
    assert not {*suppression_file.ALIASES} & {
        each.replace(" ", "").replace("_", "") for each in suppression_file.PASSED_OVER
    }
    [row] = rows_of(
        "Email\nann@x.example\n", suppression_file.READ, needed=["address"], aliases=suppression_file.ALIASES
    )
    assert row == {"address": "ann@x.example"}


# Recipients of messages, as logs have them: typed by people, taken from mail programs and spreadsheets.
ODD = (
    "'ann@x.example", "''ann@x.example", "'=ann@x.example", "=ann@x.example", "-ann@x.example", "@ann@x.example",
    "mailto:ann@x.example", "ann,bob@x.example", "ann;bob@x.example", "<ann@x.example", "ann(home)@x.example",
    "a\\nn@x.example", "#12@x.example", '"ann"@x.example', "ünn@x.example", "ann@bücher.example",
)  # fmt: skip

# What sources call their events: a long queue id with a digest, UUIDs, hexadecimal digits, words, numbers that a spreadsheet
# writes shorter.
EVENTS = (
    "4cZPq71Y2Qz6w-0a1b2c3d4e5f60718293", "c1b7c5a4-6f0e-4d5b-9d0e-0c8f6a1f2b3c", "d8f1e2a3", "delivered", "active", "12",
    "123456789012345678", "1,23457E+17", "x" * 128, "-1", "=1", "@x", "#12", "1rQ2Ab-0000000bcdE-1XyZ-1", "ünn", "none",
)  # fmt: skip


def test_what_was_exported_is_imported_again_whatever_the_recipients_of_events(acme):
    now = timezone.now()
    rules.change_rules(organization=acme.organization, keeps_addresses=True, actor=SYSTEM)
    Suppression.objects.all().delete()
    found = [
        Evidence(acme.server.pk, each, Reason.HARD_BOUNCE, event, now) for each, event in zip(ODD, EVENTS, strict=True)
    ]
    suppress_recipients(found, now=now)
    digests = set(Suppression.objects.values_list("digest", flat=True))
    assert len(digests) == len(ODD)
    client = sign_in(acme.operator)
    exported = client.get(reverse("admin:suppressions_suppression_export")).content.decode()
    assert upload(client, exported).context["effect"] == [("suppressed", 0), ("suppressed already", len(ODD))]
    # And where they are gone, the same return.
    Suppression.objects.all().delete()
    assert upload(client, exported, confirmed="yes").status_code == 302
    assert set(Suppression.objects.values_list("digest", flat=True)) == digests


@pytest.mark.parametrize("mask", ["", "a…n@x.example", "b…n@x.example"])
def test_an_address_without_its_own_mask_is_read_as_what_people_enter(mask, acme):
    said = refusals(acme, f"address,masked_address\n'ann@x.example,{mask}\n")
    assert said == ["line 2.address must be an e-mail address"]
