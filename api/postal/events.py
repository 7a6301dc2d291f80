"""`events`: accepts events of servers, collectors of the platform and event sources."""

import base64
import datetime
import io
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from rest_framework.request import Request

from api.bodies import too_large
from api.postal import event_bodies, schemas, serializers, source_tokens
from api.postal.authentication import HEADER, ServerKey, wrong
from api.postal.renderers import source_renderer
from api.postal.views import PostalViewSet, endpoint
from api.problems import Code, Declined, Problem, decline
from api.renderers import Answer
from api.requests import DialectRequest
from core.clients import client_address
from nodes.access import InvalidNodeKey, authenticate_node, servers_of
from nodes.models import Node
from servers.access import Caller, InvalidKey
from servers.models import Server
from stats.intake import event_sources, known_names, sources, tokens
from stats.intake.delivery import StateMoved, deliver
from stats.intake.effort import TooMuchWork, bounded
from stats.intake.ingest import MOST_EVENTS, Directory, Reporter, ingest
from stats.intake.tally import Tally
from stats.models import EventSource, IngestToken
from stats.tasks import request_fold

type Reporting = Caller | IngestToken | EventSource | Node


class EventsKey(ServerKey):
    """A server's key, an ingest token of the platform, an event source's token or a node's key.

    It stands in `X-Server-API-Key`, or as a bearer token; a source's token may stand in the URL or as the password of HTTP
    Basic instead, for senders that cannot set a header. `request.auth` is Caller, IngestToken, EventSource or Node.
    """

    def identify(self, request: DialectRequest) -> tuple[AnonymousUser, Any] | None:
        """Return who reports, by the header that there is, or by the URL."""
        token = _source_token(request)
        if token is not None:
            source = event_sources.find_source(token, at=request.now)
            if source is None:
                raise wrong(token, client_address(request._request))
            return AnonymousUser(), source
        scheme, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if HEADER not in request.META and scheme.lower() == "bearer":
            request.META[HEADER] = key.strip()
        return super().identify(request)

    def holder_of(self, key: str, *, at: datetime.datetime) -> Reporting:
        """Return who reports, by one query, two for a token, three for a source, four for a node."""
        try:
            return cast(Caller, super().holder_of(key, at=at))
        except InvalidKey:
            token = tokens.find_ingest_token(key, at=at) or event_sources.find_source(key, at=at)
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

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Vendors' services look at the status alone."""
        if _source_token(request) is not None:
            self.renderer = source_renderer
        super().initial(request, *args, **kwargs)

    # A receipt may hold 10,000 remarks of each kind: Tally writes them as they are sent.
    @endpoint(
        ("post",), "/", answers=serializers.RECEIPT, authentication=EventsKey, takes=None, body=schemas.EVENTS_BODY,
        is_plain=True, faults=(event_bodies.SHAPE, event_bodies.BROKEN_GZIP, event_bodies.ENCODING),
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
        newline-delimited objects (to 64 MiB), at most 50,000 events and up to 16 MiB as sent; gzip and zstd are understood.

        An event source's token, in the header, as the password of HTTP Basic, or in the URL (`events/<token>`), reports in
        that source's format. Refused requests of sources are answered with HTTP's own statuses, so that a service sends them
        again.
        """
        reporting = cast(Reporting, request.auth)
        if isinstance(reporting, EventSource):
            self.renderer = source_renderer
        try:
            with bounded():
                tally = self._deliver(reporting) if isinstance(reporting, EventSource) else self._ingest(reporting)
        except TooMuchWork as problem:
            raise too_large(problem.message) from None
        if tally.counts["accepted"]:
            request_fold()
        return Answer(tally.document(), {"truncated": True} if tally.is_truncated else {})

    def _ingest(self, reporting: Caller | IngestToken | Node) -> Tally:
        reporter = _reporter(reporting)
        directory = Directory(reporter, now=self.now, names=known_names.of_this_process(self.now))
        tally, done = Tally(), 0
        for part in event_bodies.read_events(self.request._request, MOST_EVENTS):
            tally.add(ingest(part, reporter=reporter, now=self.now, directory=directory), done)
            done += len(part)
            # Before the next is parsed.
            del part
        return tally

    def _deliver(self, source: EventSource) -> Tally:
        headers = self.request.headers
        packed = event_bodies.read_packed(self.request._request)
        try:
            sources.verify(source.format, packed, headers, source.verification_key)
        except sources.BadSignature as problem:
            raise Declined(Problem("InvalidSignature", (problem.message,), 403)) from None
        encoding = headers.get("Content-Encoding", "")
        body = event_bodies.unpacked(packed, encoding, is_log=source.format in sources.LOGS)
        try:
            return deliver(
                source,
                lambda: [io.BytesIO(body)],
                now=self.now,
                limit=event_bodies.LIMIT,
                most_records=event_bodies.MOST_RECORDS,
            )
        except sources.TooLarge:
            raise too_large(event_bodies.TOO_MANY_RECORDS) from None
        except StateMoved:
            raise decline(Code.UNAVAILABLE, retry_after=1) from None


def _reporter(auth: Caller | IngestToken | Node) -> Reporter:
    if isinstance(auth, IngestToken):
        return Reporter(name=f"ingest token {auth.name}")
    if isinstance(auth, Node):
        return Reporter(servers=servers_of(auth), addresses=auth.addresses.all(), name=f"node {auth.name}")
    return Reporter(Server.objects.select_related("organization").get(pk=auth.server_id))


def _source_token(request: Request) -> str | None:
    """Return the token in the URL, or the password of HTTP Basic where there is no key in the header of its own."""
    token: str | None = request.META.get(source_tokens.KEY)
    if token is None and HEADER not in request.META:
        token = _password(request.META.get("HTTP_AUTHORIZATION", ""))
    return token


def _password(header: str) -> str | None:
    """Return the password of HTTP Basic, None where the header is of another kind or cannot be read."""
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        _, colon, password = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
    except ValueError:
        # No base64, or not UTF-8.
        return None
    return password if colon else None
