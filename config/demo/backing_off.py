"""The demo's address in back-off: Yahoo defers most of its mail for some minutes. The decision is the product's own."""

import datetime

from config.demo import cast, platform
from ippools.models import AddressCap, IPAddress
from stats import programs
from stats.counts import fold
from stats.intake.ingest import Reporter, ingest
from throttling.limits import CapKind

# One attempt a second, of which one in six is accepted.
LASTED, ACCEPTED = datetime.timedelta(minutes=4), 6
# The last one arrived so long ago.
AGO = datetime.timedelta(seconds=20)
DOMAIN = "yahoo.com"
REPLY = "421 4.7.0 [TSS04] Messages from this address temporarily deferred due to unexpected volume or user complaints"


def make(*, now: datetime.datetime) -> None:
    """Let the mail be deferred, and decide; nothing while the address backs off already, and for an address that is gone."""
    address = IPAddress.objects.filter(ipv4=cast.BACKING_OFF_ADDRESS).first()
    server = platform.servers().get(cast.BACKING_OFF_SERVER)
    caps = AddressCap.objects.active(now).filter(kind=CapKind.THROTTLE_PROGRAM.value)
    if address is None or server is None or caps.filter(address=address).exists():
        return
    last = (now - AGO).replace(microsecond=0)
    events = []
    for number in range(int(LASTED.total_seconds())):
        at = last - number * datetime.timedelta(seconds=1)
        event = {
            "id": f"demo-back-off-{int(at.timestamp())}",
            "type": "deferred" if number % ACCEPTED else "sent",
            "at": at.isoformat(),
            "server": str(server.uuid),
            "ip": address.ipv4,
            "from": cast.BACKING_OFF_SENDER,
            "to": f"reader{number}@{DOMAIN}",
        }
        events.append(event | ({"reply": REPLY} if number % ACCEPTED else {}))
    ingest(events, reporter=Reporter(), now=now)
    fold.fold_all(now=now)
    programs.decide(now=now)
