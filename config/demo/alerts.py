"""The demo's alerts: an address goes bad and recovers within the last hour, and two mailboxes are notified."""

import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from alerts import channels, confirming, evaluating, sending
from alerts.links import change_url
from alerts.models import Alert, Channel
from config.demo import cast
from config.demo.platform import ACTOR
from dnschecks.checked import DNSStatus
from ippools.models import AddressIdentity, IPAddress
from servers.models import Organization

MINUTE = datetime.timedelta(minutes=1)
# How long ago each evaluation was: two find the address bad, two find it good (six minutes apart: an alert ends after five).
FOUND_BAD, FOUND_WELL = (40, 39), (12, 6)
_SECONDS = 20.0


def make(*, now: datetime.datetime) -> int:
    """Create the channels, let the address go bad and recover, and send what is due; return the number of e-mails.

    The evaluation, the messages and the mail are the product's own; only what DNS said is invented. Nothing is done where
    a mail server would get messages for mailboxes that do not exist, nor again.
    """
    if settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        return 0
    address = IPAddress.objects.filter(ipv4=cast.RECOVERED_ADDRESS).first()
    owner = Organization.objects.filter(permalink=cast.ALERTED[0].organization).first()
    if address is None or owner is None:
        return 0
    for person in cast.ALERTED:
        _channel(owner if person.organization else None, person)
    url = change_url("ippools.ipaddress", address.pk)
    if not Alert.objects.filter(condition="address_identity", url=url).exists():
        # In one transaction: a worker that evaluates meanwhile sees the address as it is.
        with transaction.atomic():
            identity = AddressIdentity.objects.select_for_update().get(ip_address=address)
            for status, minutes in ((DNSStatus.MISSING, FOUND_BAD), (DNSStatus.OK, FOUND_WELL)):
                identity.ptr_status = status
                identity.save(update_fields=["ptr_status"])
                for ago in minutes:
                    for organization in (None, owner):
                        evaluating.evaluate(organization=organization, at=now - ago * MINUTE)
    return sending.run(clock=timezone.now, seconds=_SECONDS)


def _channel(organization: Organization | None, person: cast.PersonRow) -> None:
    if not Channel.objects.filter(organization=organization, name=person.name).exists():
        channel = channels.create_channel(
            organization=organization,
            kind=Channel.Kind.EMAIL,
            name=person.name,
            target=f"{person.username}@sluice.example",
            time_zone=person.time_zone,
            actor=ACTOR,
        )
        # Its mailbox does not exist: nobody would follow the link.
        confirming.confirm(channel=channel, at=timezone.now(), actor=ACTOR)
