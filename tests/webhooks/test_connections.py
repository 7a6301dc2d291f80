"""Several calls over one connection: no other address, no other webhook's, and nothing lost where the receiver closes it."""

import socket
import time
from typing import Any

import pytest
from django.utils import timezone

from servers.models import Webhook
from tests.clock import Clock
from tests.dns_server import LocalDNS
from tests.webhooks.conftest import make_deliveries, make_hook
from tests.webhooks.receivers import Receiver, answers, never
from tests.webhooks.test_sending import numbers, send
from webhooks import rows
from webhooks.calling import Caller, Outcome
from webhooks.models import Delivery
from webhooks.resolving import resolve
from webhooks.sending import Sent

pytestmark = [pytest.mark.storage, pytest.mark.server, pytest.mark.usefixtures("loopback")]
OK = Outcome(200, "ok")


def post(caller: Caller, body: bytes = b"{}", timeout: float = 5.0) -> Outcome:
    return caller.call(body=body, headers={}, timeout=timeout)


def test_calls_in_a_row_share_a_connection() -> None:
    with Receiver(most_of_one=100) as receiver:
        with Caller(receiver.url, resolve) as caller:
            assert [post(caller, b"%d" % n) for n in range(5)] == [OK] * 5
        assert [each.body for each in receiver.got] == [b"0", b"1", b"2", b"3", b"4"]
        assert receiver.connections == 1
        with Caller(receiver.url, resolve) as another:
            post(another)
        assert receiver.connections == 2


def test_answers_in_chunks_and_without_content_are_read_to_their_end() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n"
    for said, expected in ((chunked, OK), (b"HTTP/1.1 204 Nothing\r\n\r\n", Outcome(204, ""))):
        with Receiver(lambda peer, said=said: peer.sendall(said), most_of_one=9) as receiver:
            with Caller(receiver.url, resolve) as caller:
                assert [post(caller) for _ in range(3)] == [expected] * 3
            assert receiver.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        answers(Connection="close"),
        answers("200 OK", b"x" * 70_000),
        answers("503 Busy"),
        lambda peer: peer.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        # More than the answer: it could be taken for the next one.
        lambda peer: peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + b"HTTP/1.1 200 OK\r\n" * 8_000),
    ],
    ids=["closes", "long", "fails", "http-1.0", "two-answers"],
)
def test_a_connection_is_used_again_only_where_both_sides_may_go_on(answer: Any) -> None:
    with Receiver(answer, most_of_one=9) as receiver, Caller(receiver.url, resolve) as caller:
        for _ in range(3):
            post(caller)
            time.sleep(0.05)
        assert (receiver.connections, len(receiver.got)) == (3, 3)


def test_a_receiver_that_closes_connections_is_called_over_a_new_one() -> None:
    with Receiver(most_of_one=2) as receiver, Caller(receiver.url, resolve) as caller:
        for _ in range(6):
            assert post(caller) == OK
            time.sleep(0.02)
        assert (receiver.connections, len(receiver.got)) == (3, 6)


def test_a_connection_that_is_closed_while_a_request_is_on_its_way_is_tried_once_more() -> None:
    """Then the receiver may have taken it: a delivery may come twice, and none is lost."""

    def then_hangs_up(peer: socket.socket) -> None:
        if len(receiver.got) != 2:
            answers()(peer)
        else:
            peer.shutdown(socket.SHUT_RDWR)

    with Receiver(then_hangs_up, most_of_one=2) as receiver, Caller(receiver.url, resolve) as caller:
        assert [post(caller), post(caller, b"2")] == [OK, OK]
        assert [each.body for each in receiver.got] == [b"{}", b"2", b"2"]


def test_the_time_limit_is_each_calls_own() -> None:
    def slow_at_last(peer: socket.socket) -> None:
        answers()(peer) if len(receiver.got) < 3 else never(peer)

    with Receiver(slow_at_last, most_of_one=9) as receiver, Caller(receiver.url, resolve) as caller:
        assert [post(caller, timeout=30).status for _ in range(2)] == [200, 200]
        begun = time.monotonic()
        assert post(caller, timeout=0.5).status is None
        assert 0.5 <= time.monotonic() - begun < 20
        # It is not waited for an answer that comes late.
        assert receiver.connections == 1
        receiver.answer = answers()
        assert post(caller) == OK
        assert receiver.connections == 2


def test_an_address_that_is_no_longer_the_names_or_no_longer_allowed_is_not_used_again(
    dns: LocalDNS, settings: Any
) -> None:
    dns.load("hook.example. 0 IN A 127.0.0.1")
    with Receiver(most_of_one=9) as receiver, Receiver(host="127.0.0.2", port=receiver.port) as moved:
        with Caller(f"http://hook.example:{receiver.port}/", resolve) as caller:
            assert post(caller) == OK
            dns.replace("hook.example. 0 IN A 127.0.0.2")
            assert post(caller) == OK
            assert (len(receiver.got), len(moved.got)) == (1, 1)
            dns.replace("hook.example. 0 IN A 127.0.0.1")
            assert post(caller) == OK
            settings.SLUICE_WEBHOOK_NETWORKS = []
            assert post(caller) == Outcome(None, error="hook.example has an address that is not public")
        assert len(receiver.got) == 2


def test_a_header_with_a_line_break_is_not_sent() -> None:
    with Receiver() as receiver, Caller(receiver.url, resolve) as caller:
        outcome = caller.call(body=b"", headers={"X-One": "1\r\nX-Two: 2"})
        assert (outcome.status, receiver.got) == (None, [])


# --- The worker's run -------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_run_makes_few_connections_and_none_is_shared_between_webhooks(
    receive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The slower the calls, the fewer are in a row.
    monkeypatch.setattr(rows, "time", Clock())
    receiver = receive(most_of_one=1_000)
    for _ in range(2):
        make_deliveries(make_hook(receiver.url), 200)
    assert send() == Sent(delivered=400)
    assert numbers(receiver) == sorted([*range(200)] * 2)
    assert receiver.connections < 100


@pytest.mark.django_db
def test_a_failure_within_a_row_ends_it_and_what_was_left_is_made_after(receive: Any) -> None:
    def now_and_then(peer: socket.socket) -> None:
        answers("500 No" if len(receiver.got) % 40 == 0 else "200 OK")(peer)

    receiver = receive(now_and_then, most_of_one=1_000)
    webhook = make_hook(receiver.url)
    make_deliveries(webhook, 200)
    assert send() == Sent(delivered=195, failed=5)
    assert set(Delivery.objects.values_list("state", "attempts")) == {("delivered", 1), ("waiting", 1)}
    assert numbers(receiver) == list(range(200))


@pytest.mark.django_db
def test_a_row_ends_when_its_webhook_is_closed_or_its_time_is_over(
    receive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(rows, "time", clock)
    receiver = receive(lambda peer: (clock.sleep(0.03), answers()(peer)), most_of_one=1_000)
    webhook = make_hook(receiver.url)
    claimed = [rows.Claimed(each.pk, webhook.pk, each.body, 1, each.until) for each in make_deliveries(webhook, 20)]
    line = rows.Line(
        webhook_id=webhook.pk,
        url=receiver.url,
        is_signed=False,
        host="127.0.0.1",
        organization_id=1,
        failures=0,
        is_trial=False,
        answered_at=None,
        has_answered=True,
    )
    given: dict[str, Any] = {"signer": None, "share": line.share, "resolve": resolve, "clock": timezone.now}
    made = rows.make(line, claimed, until=60.0, **given)
    assert len(made.calls) == 7
    assert [each[0] for each in made.calls] + made.left == claimed
    assert len(rows.make(line, claimed, until=0.0, **given).calls) == 1
    line.is_closed = True
    assert len(rows.make(line, claimed, until=60.0, **given).calls) == 1


@pytest.mark.django_db
def test_a_host_that_is_another_workers_first_is_taken_when_it_leaves_it(receive: Any, settings: Any) -> None:
    settings.SLUICE_WEBHOOK_WORKERS = 4
    receivers = [receive(host=f"127.0.0.{n}") for n in range(1, 9)]
    for receiver in receivers:
        make_deliveries(make_hook(receiver.url), 2)
    # Without another worker the run ends when all are taken, long before its time is over.
    assert send(seconds=600) == Sent(delivered=16)
    assert Webhook.objects.count() == 8
