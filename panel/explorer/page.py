"""The explorer: any question about the counts, as numbers, chart, table and CSV. It answers from counts alone, or says what is
not kept and offers what is."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.utils.http import urlencode

from panel import csv_file, long_work
from panel.explorer import drawing, links, names, rates
from panel.explorer.query import FILTERS, GRAINS, GROUPS, PERIODS, ExplorerQuery, QueryForm, canonical
from panel.site_mixin import SiteMixin
from panel.viewer import viewer_of
from servers.models import Server
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.reports import explore
from stats.reports.explore import Answer, By, Lack, NotKept, Plan, Question
from stats.reports.reader import ZERO, Counts

SHOWN = 200
# The order of tiles and columns.
KINDS = ("sent", "deferred", "bounced", "late_bounce", "complaint", "spam", "held", "incoming")
_HOUR, _DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Found:
    """An answer, that of the period before where it was asked for and is kept, and the groups' sums."""

    answer: Answer
    past: Answer | None
    groups: dict[Any, Counts]
    past_groups: dict[Any, Counts]

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(kind for kind in KINDS if kind in self.answer.kinds)

    @property
    def main(self) -> str:
        return "sent" if "sent" in self.kinds else "bounced"


class Explorer(SiteMixin):
    """What the panel's site adds to Django's for exploring counts."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [
            path("explorer/", self.admin_view(self.explorer), name="explorer"),
            path("explorer.csv", self.admin_view(self.explorer_file), name="explorer_file"),
        ]
        return [*own, *super().get_urls()]

    def explorer(self, request: HttpRequest) -> HttpResponse:
        """Show what was counted of what is asked."""
        self._check(request)
        now = timezone.now()
        if not request.GET.get("since") or "period" in request.GET:
            return HttpResponseRedirect(links.url(**canonical(request.GET.dict(), now)))
        form = QueryForm(request.GET, request)
        context = {
            **self.each_context(request),
            "title": "Explorer",
            "form": form,
            "media": form.media,
            "periods": [(value, title) for value, (title, _) in PERIODS.items()],
            "is_platform": form.viewer.is_platform,
        }
        if form.is_valid():
            asked = form.asked()
            try:
                found = find(asked, now, request)
            except NotKept as lack:
                context |= {"lack": lack.sentence, "offers": offers(asked, lack, now)}
            else:
                context |= shown(asked, found, now)
        request.current_app = self.name
        return TemplateResponse(request, "panel/explorer.html", context)

    @long_work.few_at_once
    def explorer_file(self, request: HttpRequest) -> HttpResponse:
        """Answer with the same rows as CSV; 400 with a sentence where there are none because nothing is kept."""
        self._check(request)
        if not request.GET:
            # Without a question there are no rows; the page has one to begin with.
            return HttpResponseRedirect(reverse("admin:explorer"))
        form = QueryForm(request.GET, request)
        if not form.is_valid():
            return HttpResponse("What is asked cannot be read.", status=400, content_type="text/plain")
        asked = form.asked()
        try:
            found = find(asked, timezone.now(), request)
        except NotKept as lack:
            return HttpResponse(lack.sentence, status=400, content_type="text/plain")
        columns = ("since", "until", asked.group or "time", *found.kinds, *(f"{kind}_rate" for kind in found.kinds))
        return csv_file.answer("counts.csv", columns, cells(asked, found))

    def _check(self, request: HttpRequest) -> None:
        page = self._registry.get(Server)
        if page is None or not page.has_view_permission(request):
            raise PermissionDenied


# --- Asking ----------------------------------------------------------------------------------------------------------


def find(asked: ExplorerQuery, now: datetime.datetime, request: HttpRequest) -> Found:
    """Return the answer; raises NotKept. At most ten queries."""
    planned = planned_of(asked, now)
    answer = explore.ask(planned)
    past = None
    if asked.compare:
        try:
            past = explore.ask(explore.plan(explore.before(planned.question), now))
        except NotKept:
            past = None
    user = viewer_of(request).user
    groups = names.merged(asked.group, answer.groups, user)
    past_groups = names.merged(asked.group, past.groups, user) if past else {}
    return Found(answer, past, groups, past_groups)


def planned_of(asked: ExplorerQuery, now: datetime.datetime) -> Plan:
    """Return the plan of what is asked; where it may be as fine as it fits, of the finest that suits the length."""
    question = asked.question
    if asked.grain is not None:
        return explore.plan(replace(question, grain=asked.grain), now)
    length = question.end - question.start
    suits = [Grain.DAY]
    if length <= 3 * _DAY:
        suits = [Grain.HOUR, Grain.DAY]
    if length <= 2 * _HOUR:
        suits = [Grain.MINUTE, Grain.HOUR, Grain.DAY]
    if length < _DAY:
        suits = [*suits[:-1]]
    lacks = []
    for grain in suits:
        try:
            return explore.plan(replace(question, grain=grain), now)
        except NotKept as lack:
            lacks.append(lack)
    raise lacks[-1]


def offers(asked: ExplorerQuery, lack: NotKept, now: datetime.datetime) -> list[tuple[str, str]]:
    """Return what is kept instead, as titles and addresses; each has an answer."""
    found = []
    if lack.lack is Lack.TOGETHER:
        for name in (*FILTERS, "group"):
            by = FILTERS.get(name) or asked.question.group
            if not asked.given.get(name) or by is None:
                continue
            given = {each: value for each, value in asked.given.items() if each != name}
            left = subjects(given, asked)
            if explore.is_kept_together(left):
                title = "Without grouping" if name == "group" else f"Without “{GROUPS[name][0]}”"
                found.append((title, links.url(**given)))
        return found
    question = asked.question
    days = replace(
        question, start=_floor(question.start), end=_ceiling(question.end), zone=datetime.UTC, grain=Grain.DAY
    )
    hours = replace(question, start=buckets.whole_hour(question.start), end=buckets.whole_hour(question.end))
    if asked.grain is None or asked.grain == Grain.MINUTE:
        hours = replace(hours, grain=Grain.DAY if hours.end - hours.start > 3 * _DAY else Grain.HOUR)
    times = [("By whole hours", hours)] if hours != question else []
    times.append(("By whole UTC days", days))
    if lack.since is not None and lack.since < question.end:
        grain = asked.grain or Grain.HOUR
        times.append(("Only what is kept", replace(question, start=lack.since, grain=grain)))
        times.append(("Only the days that are kept", replace(days, start=_ceiling(lack.since))))
    for title, each in times:
        try:
            explore.plan(each, now)
        except (NotKept, ValueError):
            continue
        found.append((title, links.url(**{**asked.given, **times_of(each)})))
    return found


def subjects(given: dict[str, str], asked: ExplorerQuery) -> frozenset[By]:
    """Return what a question with these parameters would be about."""
    of_filters = {by for name, by in FILTERS.items() if given.get(name)}
    if By.SERVER in asked.question.only and not (asked.given.get("server") or asked.given.get("organization")):
        # A tenant's own servers are always asked for.
        of_filters.add(By.SERVER)
    return frozenset(of_filters | ({GROUPS[given["group"]][1]} if given.get("group") else set()))


def times_of(question: Question) -> dict[str, str]:
    """Return the parameters of a question's time."""
    zone = question.zone
    start, end = (each.astimezone(zone).strftime(links.FORMAT) for each in (question.start, question.end))
    word = next(word for word, grain in GRAINS.items() if grain == question.grain)
    return {"since": start, "until": end, "zone": str(zone), "grain": word}


def _floor(at: datetime.datetime) -> datetime.datetime:
    return at.astimezone(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _ceiling(at: datetime.datetime) -> datetime.datetime:
    day = _floor(at)
    return day if day == at else day + _DAY


# --- Showing ---------------------------------------------------------------------------------------------------------


def shown(asked: ExplorerQuery, found: Found, now: datetime.datetime) -> dict[str, Any]:
    """Return what the page shows of an answer. At most two queries."""
    answer, question = found.answer, found.answer.plan.question
    ranked = ranked_of(asked, found)
    known = names.names_of(asked.group, (key for key, _ in ranked[:SHOWN])) if asked.group else {}
    points = [(at, counts) for at, counts in answer.series if counts != ZERO]
    rows = (
        [group_row(asked, found, key, counts, known[key]) for key, counts in ranked[:SHOWN]]
        if asked.group
        else [time_row(asked, found, at, counts) for at, counts in points[:SHOWN]]
    )
    return {
        "answer": answer,
        "tiles": [tile(found, kind) for kind in found.kinds if kind in ("sent", "deferred", "bounced") or
                  getattr(answer.total, kind) or (found.past and getattr(found.past.total, kind))],
        "chart": drawing.of_answer(answer, now),
        "complaints": drawing.of_complaints(answer) if "complaint" in found.kinds else None,
        "past": found.past,
        "lacks_past": asked.compare and found.past is None,
        "is_over": question.end <= now,
        "columns": [(kind, rates.TITLES[kind], links.url(**{**asked.given, "sort": kind}), sort_of(asked, found) == kind)
                    for kind in found.kinds],
        "main_title": rates.TITLES[found.main],
        "group": asked.group,
        "group_title": GROUPS[asked.group][0] if asked.group else drawing.column_of(question),
        "rows": rows,
        "more": max(0, (len(ranked) if asked.group else len(points)) - SHOWN),
        "is_cut": answer.is_cut,
        "total": [rates.shown(answer.total, kind) for kind in found.kinds],
        "is_partial": "sent" not in found.kinds,
        "file_url": f"{reverse('admin:explorer_file')}?{urlencode(asked.given)}",
        "share_url": links.url(**asked.given),
        "signature": names.names_of("signature", question.only[By.SIGNATURE]) if By.SIGNATURE in question.only else None,
        "is_of_addresses": By.ADDRESS in answer.plan.view.keys,
    }  # fmt: skip


def sort_of(asked: ExplorerQuery, found: Found) -> str:
    return asked.sort if asked.sort in found.kinds else found.main


def ranked_of(asked: ExplorerQuery, found: Found) -> list[tuple[Any, Counts]]:
    """Return the groups, those with most of the kind that is sorted by first."""
    kind = sort_of(asked, found)
    return sorted(found.groups.items(), key=lambda item: (-getattr(item[1], kind), str(item[0])))


def tile(found: Found, kind: str) -> dict[str, Any]:
    """Return the number of one kind, its rate, and what both were in the period before."""
    tile = {**_shown(found, found.answer.total, kind), "change": ""}
    if found.past:
        number, past = tile["number"], getattr(found.past.total, kind)
        before = _shown(found, found.past.total, kind)
        share = f" ({before['rate']})" if before["rate"] else ""
        tile["change"] = f"{_change(number, past)}, {past:,}{share} before"
    return tile


def _shown(found: Found, counts: Counts, kind: str) -> dict[str, Any]:
    """Return a sum with its rate; without it where only replies are counted, as what was accepted is not known then."""
    return rates.shown(counts, kind) | ({} if "sent" in found.kinds else {"rate": "", "tone": ""})


def _change(number: int, past: int) -> str:
    if not past:
        return "more" if number else "the same"
    percent = (number - past) * 100 / past
    return f"{number / past:.1f}×" if percent >= 200 else f"{percent:+.0f} %".replace("-", "−")


def group_row(asked: ExplorerQuery, found: Found, key: Any, counts: Counts, name: names.Name) -> dict[str, Any]:
    """Return the row of one group; its name leads to the same question about just this group, by time."""
    given = {each: value for each, value in asked.given.items() if each not in ("group", "sort")}
    only = links.url(**{**given, asked.group: name.value}) if name.value and asked.group in FILTERS else ""
    past = found.past_groups.get(key, ZERO)
    return _row(found, counts, past if found.past else None) | {"label": name.text, "url": only, "record": name.url}


def time_row(asked: ExplorerQuery, found: Found, at: datetime.datetime, counts: Counts) -> dict[str, Any]:
    """Return the row of one point of time; a day leads to its hours."""
    question = found.answer.plan.question
    position = [point for point, _ in found.answer.series].index(at)
    past = None
    if found.past:
        past = found.past.series[position][1] if position < len(found.past.series) else ZERO
    url = ""
    if question.grain == Grain.DAY:
        end = buckets.day_begins(at.astimezone(question.zone).date() + _DAY, question.zone)
        day = replace(question, start=at, end=min(end, question.end), grain=Grain.HOUR)
        url = links.url(**{**asked.given, **times_of(day)})
    return _row(found, counts, past) | {"label": drawing.moment_of(at, question), "url": url, "record": ""}


def _row(found: Found, counts: Counts, past: Counts | None) -> dict[str, Any]:
    cells = [rates.shown(counts, kind) for kind in found.kinds]
    if "sent" not in found.kinds:
        # Of replies alone: each is a share of all of its kind.
        for cell in cells:
            whole = getattr(found.answer.total, cell["kind"])
            cell["rate"] = rates.percent(cell["number"] / whole) if whole else ""
    before = None if past is None else getattr(past, found.main)
    return {"cells": cells, "before": before}


def cells(asked: ExplorerQuery, found: Found) -> Iterator[list[Any]]:
    """Yield the rows of the file: when, what, counts, and rates as parts of one."""
    question = found.answer.plan.question
    edges = [at.astimezone(question.zone).isoformat() for at in found.answer.plan.edges]
    if asked.group:
        ranked = ranked_of(asked, found)
        known = names.names_of(asked.group, (key for key, _ in ranked))
        for key, counts in ranked:
            yield [edges[0], edges[-1], known[key].text, *_numbers(found, counts)]
    else:
        for position, (_, counts) in enumerate(found.answer.series):
            yield [edges[position], edges[position + 1], edges[position], *_numbers(found, counts)]


def _numbers(found: Found, counts: Counts) -> list[Any]:
    shares = [rates.rate(counts, kind) if "sent" in found.kinds else None for kind in found.kinds]
    return [
        *(getattr(counts, kind) for kind in found.kinds),
        *("" if each is None else round(each, 6) for each in shares),
    ]
