"""The demo's drained address: one pool lets Sluice act, another only watch. The decision is the product's own."""

import datetime

from config.demo import cast
from config.demo.platform import ACTOR
from ippools import drains
from ippools.models import IPPool
from nodes import healing
from throttling.drain import DEFAULT_SHARE, Mode

# So long ago it was decided.
AGO = datetime.timedelta(minutes=30)


def make(*, now: datetime.datetime) -> None:
    """Say what becomes of the pools' addresses, and decide; nothing where a pool says it already. Needs the counts."""
    for name, mode in ((cast.HEALING_POOL, Mode.ACT), (cast.WATCHING_POOL, Mode.WATCH)):
        for pool in IPPool.objects.filter(name=name, drain_mode=""):
            drains.configure(pool.pk, mode=mode, share=DEFAULT_SHARE, actor=ACTOR)
            healing.decide(now=now - AGO)
