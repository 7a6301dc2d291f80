"""The explorer's questions: every sum equals a recount of the events, and what is not kept is refused, never estimated."""

import datetime
import random
import zoneinfo
from collections import Counter
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers.models import Server
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.counts.fold import fold_all
from stats.intake.ingest import Reporter, ingest
from stats.models import PlatformProviderCount, Provider, ReasonCount, Sender, ServerProviderCount, Signature
from stats.reasons import NUMBERS
from stats.reports import explore
from stats.reports.explore import By, Lack, NotKept, Question
from stats.reports.reader import Counts
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import random_events
from tests.stats.recount import REPLIED, SIGNATURES, moment, provider_of, reason_of

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

PLATFORM = Reporter()
UTC = datetime.UTC
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0)
ZONES = [
    UTC,
    zoneinfo.ZoneInfo("Europe/Berlin"),
    zoneinfo.ZoneInfo("America/New_York"),
    zoneinfo.ZoneInfo("Asia/Kolkata"),
]
# What of events each of these is told of, besides those that the filters choose.
COUNTED: dict[frozenset[By], Any] = {
    frozenset({By.DOMAIN}): lambda event: bool(sender_domain(event)),
    frozenset({By.SENDER}): lambda event: bool(event.get("from")),
    frozenset({By.REASON}): lambda event: event["type"] in REPLIED or is_stopped(event),
    frozenset({By.SIGNATURE}): lambda event: event["type"] in REPLIED and event.get("reply"),
}


def is_stopped(event: dict[str, Any]) -> bool:
    """Whether a node held a message because its recipient is suppressed."""
    return event["type"] == "held" and reason_of(event) == "suppressed"


def sender_domain(event: dict[str, Any]) -> str:
    return (event.get("from") or "").lower().rpartition("@")[2]


def key_of(by: By, event: dict[str, Any], servers: dict[str, int], addresses: dict[str, int]) -> Any:
    """Return what an event is counted by, as the answers call it."""
    match by:
        case By.SERVER:
            return servers[event["server"]]
        case By.ADDRESS:
            return addresses.get(event.get("ip", ""), 0)
        case By.PROVIDER:
            name = provider_of(event.get("to"))
            return 0 if name == "other" else Provider.objects.get(name=name).pk
        case By.DOMAIN:
            return sender_domain(event)
        case By.SENDER:
            return (event.get("from") or "").lower()
        case By.REASON:
            return NUMBERS[reason_of(event)]
        case By.SIGNATURE:
            return SIGNATURES.get(event.get("reply", ""), "")


def counts_of(counter: Counter[str]) -> Counts:
    return Counts(**counter)


def random_question(chance: random.Random, keys: dict[By, list[Any]]) -> Question:
    grain = chance.choice([Grain.MINUTE, Grain.HOUR, Grain.DAY])
    length = {Grain.MINUTE: chance.randint(1, 100) * HOUR / 60, Grain.HOUR: chance.randint(1, 80) * HOUR,
              Grain.DAY: chance.randint(1, 5) * DAY}[grain]  # fmt: skip
    zone = chance.choice(ZONES)
    end = (
        NOW.replace(second=0)
        if grain == Grain.MINUTE
        else chance.choice([MIDNIGHT + DAY, NOW.replace(minute=0, second=0)])
    )
    if grain == Grain.DAY and chance.random() < 0.7:
        end = buckets.day_begins((NOW + DAY).astimezone(zone).date(), zone)
    only = {
        by: chance.sample(keys[by], chance.randint(1, len(keys[by])))
        for by in (By.SERVER, By.ADDRESS, By.PROVIDER, By.DOMAIN, By.REASON)
        if chance.random() < 0.25
    }
    return Question(end - length, end, grain, zone, only, chance.choice([None, *By]))


class Recount:
    """The same questions, answered by looking at each event."""

    def __init__(self, events: list[dict[str, Any]], tenants: list[Tenant]) -> None:
        self.events = events
        self.servers = {str(uuid): pk for pk, uuid in Server.objects.values_list("pk", "uuid")}
        self.addresses = {each.ipv4: each.pk for tenant in tenants for each in tenant.addresses}
        self.texts = {each.pk: each.text.partition("<")[0] or each.text for each in Signature.objects.all()}
        self.senders = dict(Sender.objects.values_list("pk", "name"))

    def key(self, by: By, event: dict[str, Any]) -> Any:
        return key_of(by, event, self.servers, self.addresses)

    def chosen(self, question: Question) -> list[dict[str, Any]]:
        """Return the events that a question is about."""
        found = [each for each in self.events if question.start <= moment(each["at"]) < question.end]
        for by, ids in question.only.items():
            found = [each for each in found if self.key(by, each) in ids]
        for by, is_counted in COUNTED.items():
            if by <= question.subjects:
                found = [each for each in found if is_counted(each)]
        # Of addresses only known ones are counted, but in signatures.
        of_addresses = By.ADDRESS in question.subjects or {By.REASON, By.PROVIDER} <= question.subjects
        if of_addresses and By.SIGNATURE not in question.subjects:
            found = [each for each in found if each.get("ip")]
            # What a node stopped was on its way to nobody: it has a class for its server alone.
            if By.REASON in question.subjects:
                found = [each for each in found if not is_stopped(each)]
        return found

    def series(self, points: list[datetime.datetime], chosen: list[dict[str, Any]]) -> list[Any]:
        counters = {at: Counter[str]() for at in points}
        for each in chosen:
            counters[max(at for at in points if at <= moment(each["at"]))][each["type"]] += 1
        return [(at, counts_of(counter)) for at, counter in counters.items()]

    def groups(self, by: By, chosen: list[dict[str, Any]]) -> dict[Any, Counts]:
        counters: dict[Any, Counter[str]] = {}
        for each in chosen:
            counters.setdefault(self.key(by, each), Counter())[each["type"]] += 1
        return {key: counts_of(counter) for key, counter in counters.items()}

    def named(self, by: By, groups: dict[Any, Counts]) -> dict[Any, Counts]:
        """Return an answer's groups by text; the same sender has a number for each server."""
        if by not in (By.SIGNATURE, By.SENDER):
            return groups
        words, merged = self.texts if by == By.SIGNATURE else self.senders, dict[Any, Counts]()
        for key, counts in groups.items():
            merged[words[key]] = merged.get(words[key], Counts()) + counts
        return merged


def test_every_sum_is_that_of_the_events(acme: Tenant, globex: Tenant) -> None:
    events = random_events([acme, globex], 600, seed=7, days_ago=(0, 0, 1, 2, 3, 40))
    for start in range(0, len(events), 100):
        ingest(events[start : start + 100], reporter=PLATFORM, now=NOW)
    fold_all(now=NOW)
    recount = Recount(events, [acme, globex])
    keys: dict[By, list[Any]] = {
        By.SERVER: list(recount.servers.values()), By.ADDRESS: list(recount.addresses.values()),
        By.PROVIDER: [0, *Provider.objects.filter(name__in=["Gmail", "Yahoo", "Apple"]).values_list("pk", flat=True)],
        By.DOMAIN: ["acme.example", "brand.example", "nobody.example"], By.REASON: [0, 1, 3],
    }  # fmt: skip
    chance, answered, refused = random.Random(11), Counter[Any](), Counter[Lack]()
    for _ in range(900):
        question = random_question(chance, keys)
        try:
            answer = explore.ask(explore.plan(question, NOW))
        except NotKept as lack:
            refused[lack.lack] += 1
            continue
        answered[answer.plan.view.scopes[0].name, answer.plan.grain] += 1
        chosen = recount.chosen(question)
        assert answer.total == counts_of(Counter(each["type"] for each in chosen)), question
        assert answer.series == recount.series([at for at, _ in answer.series], chosen), question
        if question.group:
            assert recount.named(question.group, answer.groups) == recount.groups(question.group, chosen), question
            assert not answer.is_cut
    # Every scope has answered, by each of its tiers, and what this data cannot answer was refused.
    assert {name for name, _ in answered} == {view.scopes[0].name for view in explore.VIEWS}
    assert {grain for _, grain in answered} == {Grain.MINUTE, Grain.HOUR, Grain.DAY}
    assert set(refused) >= {Lack.TOGETHER, Lack.FINE}


def asked(start: datetime.datetime, end: datetime.datetime, grain: Grain = Grain.HOUR, **more: Any) -> Question:
    return Question(start, end, grain, more.pop("zone", UTC), **more)


def lack_of(question: Question) -> tuple[Lack, datetime.datetime | None]:
    with pytest.raises(NotKept) as caught:
        explore.plan(question, NOW)
    return caught.value.lack, caught.value.since


def test_what_is_not_kept_is_refused(db: None) -> None:
    hour = NOW.replace(minute=0, second=0)
    together = {By.SERVER: [1], By.ADDRESS: [2]}
    assert lack_of(asked(hour - HOUR, hour, only=together)) == (Lack.TOGETHER, None)
    # Of addresses there are days alone; of days, whole ones.
    assert lack_of(asked(hour - HOUR, hour, only={By.ADDRESS: [2]})) == (Lack.FINE, None)
    # Days of India begin at half past an hour of UTC.
    kolkata = zoneinfo.ZoneInfo("Asia/Kolkata")
    start = datetime.datetime.combine(NOW.date() - DAY, datetime.time.min, kolkata).astimezone(datetime.UTC)
    assert lack_of(asked(start, start + DAY, Grain.DAY, zone=kolkata)) == (Lack.OLD, explore._start(
        Grain.MINUTE, buckets.minute_of(NOW - 2 * HOUR)))  # fmt: skip
    # Hours are kept for 90 days, with the provider for 35.
    old = MIDNIGHT - 50 * DAY
    assert explore.plan(asked(old, old + DAY), NOW).grain == Grain.HOUR
    lack, since = lack_of(asked(old, old + DAY, only={By.PROVIDER: [1]}))
    assert (lack, since) == (Lack.OLD, hour - 35 * DAY)
    assert lack_of(asked(MIDNIGHT - 40 * DAY, MIDNIGHT))[0] is Lack.TOO_FINE


def test_days_of_a_zone_are_sums_of_hours_where_hours_are_kept(db: None) -> None:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    start, end = (buckets.day_begins(NOW.date() - days * DAY, berlin) for days in (3, 0))
    assert explore.plan(asked(start, end, Grain.DAY, zone=berlin), NOW).grain == Grain.HOUR
    assert explore.plan(asked(MIDNIGHT - 3 * DAY, MIDNIGHT, Grain.DAY), NOW).grain == Grain.DAY
    # Of addresses there are UTC days only.
    assert lack_of(asked(start, end, Grain.DAY, zone=berlin, only={By.ADDRESS: [1]})) == (Lack.FINE, None)
    # London's winter days are UTC's, those around its summer are not.
    london = zoneinfo.ZoneInfo("Europe/London")
    winter = asked(MIDNIGHT - 3 * DAY, MIDNIGHT, Grain.DAY, zone=london, only={By.ADDRESS: [1]})
    assert explore.plan(winter, NOW).grain == Grain.DAY
    summer = asked(
        buckets.day_begins(datetime.date(2025, 2, 1), london), MIDNIGHT, Grain.DAY, zone=london, only={By.ADDRESS: [1]}
    )
    assert lack_of(summer) == (Lack.FINE, None)


@pytest.mark.parametrize(
    "zone", ["Asia/Kolkata", "Pacific/Chatham", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]
)
def test_days_of_zones_that_are_off_by_part_of_an_hour_begin_with_a_whole_one(db: None, zone: str) -> None:
    of = zoneinfo.ZoneInfo(zone)
    start, end = (buckets.day_begins(NOW.date() - days * DAY, of) for days in (60, 1))
    planned = explore.plan(asked(start, end, Grain.DAY, zone=of), NOW)
    assert (planned.grain, len(planned.edges)) == (Grain.HOUR, 60)
    # Each hour belongs to the day in which it begins, as in the files of usage by day.
    assert {(each.minute, each.astimezone(of).hour) for each in planned.edges} == {(0, 0)}
    assert len({each.astimezone(of).date() for each in planned.edges}) == 60
    past = explore.before(planned.question)
    assert (past.start, past.end) == (buckets.day_begins(NOW.date() - 119 * DAY, of), start)
    with pytest.raises(explore.NotKept, match="begins or ends within an hour of UTC"):
        explore.plan(asked(start - HOUR / 2, end, Grain.DAY, zone=of), NOW)


def test_a_time_before_a_scope_was_there_is_refused(acme: Tenant) -> None:
    events = random_events([acme], 40, seed=1, days_ago=(0, 1, 2, 3))
    ingest(events, reporter=PLATFORM, now=NOW)
    fold_all(now=NOW)
    yesterday = buckets.day_of(NOW) - 1
    whose: dict[By, list[int]] = {By.SERVER: [acme.server.pk]}
    for model, of in ((PlatformProviderCount, {}), (ServerProviderCount, whose)):
        week = asked(MIDNIGHT - 6 * DAY, MIDNIGHT + DAY, Grain.DAY, only={By.PROVIDER: [0], **of})
        assert explore.plan(week, NOW).view.model is model
        # As after an upgrade: the table begins yesterday, servers were counted before.
        model._default_manager.filter(grain=Grain.DAY, bucket__lt=yesterday).delete()
        assert lack_of(week) == (Lack.BEFORE, MIDNIGHT - DAY)
    ReasonCount.objects.all().delete()
    replies = asked(MIDNIGHT - 6 * DAY, MIDNIGHT + DAY, Grain.DAY, group=By.REASON)
    assert lack_of(replies) == (Lack.BEFORE, None)


def test_the_period_before(db: None) -> None:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    # The clocks went forward on 29 March 2026: the day has 23 hours, the one before it 24.
    start, end = (
        buckets.day_begins(datetime.date(2026, 3, 29), berlin),
        buckets.day_begins(datetime.date(2026, 3, 30), berlin),
    )
    past = explore.before(asked(start, end, zone=berlin))
    assert (past.end - past.start, past.end) == (24 * HOUR, start)
    hours = explore.before(asked(NOW - 2 * HOUR, NOW))
    assert (hours.start, hours.end) == (NOW - 4 * HOUR, NOW - 2 * HOUR)


def test_an_answer_takes_at_most_four_queries(acme: Tenant) -> None:
    ingest(random_events([acme], 40, seed=1), reporter=PLATFORM, now=NOW)
    fold_all(now=NOW)
    question = asked(MIDNIGHT - DAY, MIDNIGHT, only={By.PROVIDER: [0], By.SERVER: [acme.server.pk]}, group=By.SERVER)
    with CaptureQueriesContext(connection) as captured:
        explore.ask(explore.plan(question, NOW))
    assert len(captured) <= 4
    nobody = asked(MIDNIGHT - DAY, MIDNIGHT, only={By.SERVER: []}, group=By.SERVER)
    answer = explore.ask(explore.plan(nobody, NOW))
    assert (answer.total, answer.groups) == (Counts(), {})
