"""`events`: what happened to messages, reported by servers and by the platform's collectors."""

import datetime
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from rest_framework.request import Request

from api.postal import event_bodies, schemas, serializers
from api.postal.authentication import HEADER, ServerKey
from api.postal.views import PostalViewSet, endpoint
from api.renderers import Answer
from api.requests import DialectRequest
from nodes.access import InvalidNodeKey, authenticate_node, servers_of
from nodes.models import Node
from servers.access import Caller, InvalidKey
from servers.models import Server
from stats.intake import tokens
from stats.intake.ingest import MOST_EVENTS, Directory, Reporter, ingest
from stats.intake.tally import Tally
from stats.models import IngestToken
from stats.tasks import poke_fold

type Holder = Caller | IngestToken | Node


class EventsKey(ServerKey):
    """A server's key, an ingest token of the platform or a node's key; the last two also as a bearer token.

    `request.auth` is Caller, IngestToken or Node.
    """

    def identify(self, request: DialectRequest) -> tuple[AnonymousUser, Any] | None:
        """Return who reports, by the header that there is."""
        scheme, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if HEADER not in request.META and scheme.lower() == "bearer":
            request.META[HEADER] = key.strip()
        return super().identify(request)

    def holder_of(self, key: str, *, at: datetime.datetime) -> Holder:
        """Return who reports, by one query, two for a token, three for a node."""
        try:
            return super().holder_of(key, at=at)
        except InvalidKey:
            token = tokens.find_ingest_token(key, at=at)
            if token is not None:
                return token
            try:
                return authenticate_node(key, at=at)
            except InvalidNodeKey:
                # As any wrong key: the caller cannot tell which there are.
                raise InvalidKey from None


class EventViewSet(PostalViewSet):
    """Events of messages."""

    body_limit = event_bodies.PACKED_LIMIT
    tag = "Events"

    # A receipt may hold 10,000 remarks of each kind: Tally writes them as they are sent.
    @endpoint(
        ("post",), "/", answers=serializers.RECEIPT, authentication=EventsKey, takes=None, body=schemas.EVENTS_BODY,
        is_plain=True, examples=("events",), faults=(event_bodies.SHAPE, event_bodies.BROKEN_GZIP, event_bodies.ENCODING),
    )  # fmt: skip
    def create(self, request: Request) -> object:
        """Report what happened to messages.

        A server's key reports for that server, an ingest token for any, a node's key for the servers whose pools have addresses
        on the node. Each event counts once, however often and by whatever
        way it is sent: sending everything again after a failure is right. Its identity is server, id, type, time and recipient.
        Every event is accepted, a duplicate of one that was accepted before, in conflict with one (the same identity with
        another address, sender or reply), ignored (a type that is not counted), or refused with its position and a reason; the
        good ones are kept. An optional field that cannot be read is left out, with a warning. What is accepted is stored for
        good when the answer comes, and counted some seconds later. The body is a JSON array (to 16 MiB), one object, or
        newline-delimited objects (to 64 MiB), up to 16 MiB as sent; `Content-Encoding: gzip` is understood.
        """
        reporter = _reporter(cast("Holder", request.auth))
        directory = Directory(reporter, now=self.now)
        tally, done = Tally(), 0
        for part in event_bodies.read_events(request._request, MOST_EVENTS):
            tally.add(ingest(part, reporter=reporter, now=self.now, directory=directory), done)
            done += len(part)
        if tally.counts["accepted"]:
            poke_fold()
        return Answer(tally.document(), {"truncated": True} if tally.is_truncated else {})


def _reporter(auth: Holder) -> Reporter:
    if isinstance(auth, IngestToken):
        return Reporter()
    if isinstance(auth, Node):
        return Reporter(servers=servers_of(auth), addresses=auth.addresses.all())
    return Reporter(Server.objects.select_related("organization").get(pk=auth.server_id))
