"""The explorer's query: the fields of its form, which are the parameters of its URL."""

import datetime
import zoneinfo
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from ippools.models import IPAddress, IPPool, IPPoolMember
from panel.explorer.links import FORMAT
from panel.explorer.names import class_of_reply
from panel.forms.fields import LookUp
from panel.viewer import viewer_of
from servers.access import servers_of
from servers.models import Credential, Organization, Server
from stats import reasons
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import Provider
from stats.reports.explore import By, Question
from throttling.domains import NotADomain, domain_name

GRAINS = {"minute": Grain.MINUTE, "hour": Grain.HOUR, "day": Grain.DAY}
# What rows can be grouped by, what they are called, and what is counted for that.
GROUPS: dict[str, tuple[str, By]] = {
    "organization": ("Organization", By.SERVER),
    "server": ("Server", By.SERVER),
    "pool": ("IP pool", By.ADDRESS),
    "address": ("IP address", By.ADDRESS),
    "provider": ("Recipients’ provider", By.PROVIDER),
    "domain": ("Sender domain", By.DOMAIN),
    "sender": ("Sender", By.SENDER),
    "reason": ("Class of the reply", By.REASON),
    "signature": ("Reply", By.SIGNATURE),
}
# Filters, and what is counted for them.
FILTERS: dict[str, By] = {name: by for name, (_, by) in GROUPS.items() if name != "sender"}
# Counted of addresses, whoever sent by them: the platform's to know.
OF_THE_PLATFORM = ("pool", "address", "signature")
_HOUR, _DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
# A time of these years can be moved by a period and a zone without leaving the calendar.
_FIRST_YEAR, _LAST_YEAR = 2000, 2100


@dataclass(frozen=True, slots=True)
class ExplorerQuery:
    """What the form holds, looked up."""

    question: Question
    # How fine was asked for; None: as it fits.
    grain: Grain | None
    group: str
    sort: str
    compare: bool
    # The parameters as they are given, without empty ones.
    given: dict[str, str]


class Chosen(LookUp):
    """A look-up that is told what is chosen, so that showing it is no query."""

    record: tuple[int, str] | None = None

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        options = [self.create_option(name, "", "", selected=False, index=0)]
        if self.record is not None:
            options.append(self.create_option(name, *self.record, selected=True, index=0))
        return [(None, options, 0)]


class QueryForm(forms.Form):
    """The explorer's form. Choices are those that the person sees."""

    since = forms.CharField(label="From", max_length=32)
    until = forms.CharField(label="To", max_length=32)
    zone = forms.CharField(label="Time zone", max_length=64, required=False)
    grain = forms.ChoiceField(
        label="Interval", required=False, choices=[("", "automatic"), *((name, name) for name in GRAINS)]
    )
    organization = forms.ModelChoiceField(Organization.objects.none(), required=False)
    server = forms.ModelChoiceField(Server.objects.none(), required=False)
    pool = forms.ModelChoiceField(IPPool.objects.none(), required=False, label="IP pool")
    address = forms.ModelChoiceField(IPAddress.objects.none(), required=False, label="IP address")
    provider = forms.TypedChoiceField(coerce=int, empty_value=None, required=False, label="Recipients’ provider")
    domain = forms.CharField(required=False, max_length=253, label="Sender domain")
    reason = forms.TypedChoiceField(
        coerce=int, empty_value=None, required=False, label="Class of the reply",
        choices=[("", "all"), *((str(number), class_of_reply(word)) for number, word in reasons.WORDS.items())],
    )  # fmt: skip
    signature = forms.IntegerField(required=False, min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput())
    group = forms.ChoiceField(required=False, label="Group by")
    sort = forms.CharField(required=False, max_length=20, widget=forms.HiddenInput())
    compare = forms.BooleanField(required=False, label="Compare with the period before")

    def __init__(self, data: Any, request: HttpRequest) -> None:
        super().__init__(data)
        self.request, self.viewer = request, viewer_of(request)
        own = timezone.get_current_timezone_name()
        given = data.get("zone", "")
        zones = dict.fromkeys((own, "UTC", *([given] if zone_of(given) else [])))
        self.fields["zone"].widget = forms.Select(choices=[(name, name.replace("_", " ")) for name in zones])
        for name, model, source in (
            ("organization", Organization, Server._meta.get_field("organization")),
            ("server", Server, Credential._meta.get_field("server")),
            ("pool", IPPool, Server._meta.get_field("ip_pool")),
            ("address", IPAddress, IPPoolMember._meta.get_field("ip_address")),
        ):
            page: Any = admin.site._registry[model]
            field: Any = self.fields[name]
            if not page.has_view_permission(request) or (name in OF_THE_PLATFORM and not self.viewer.is_platform):
                del self.fields[name]
                continue
            field.widget = Chosen(source, admin.site)
            field.queryset = page.get_queryset(request)
            field.label_from_instance = page.choice_label
            field.widget.choices = field.choices
        if not self.viewer.is_platform:
            del self.fields["signature"]
        providers = Provider.objects.order_by("name").values_list("pk", "name")
        provider: Any = self.fields["provider"]
        provider.choices = [("", "all"), *((str(pk), name) for pk, name in providers), ("0", "others")]
        groups = [(name, title) for name, (title, _) in GROUPS.items() if self.may_group(name)]
        group: Any = self.fields["group"]
        group.choices = [("", "time"), *groups]
        for name in ("since", "until"):
            self.fields[name].widget = forms.DateTimeInput(attrs={"type": "datetime-local"})
        for each in self.fields.values():
            if not isinstance(each.widget, LookUp | forms.CheckboxInput):
                each.widget.attrs["class"] = "panel-select"

    def may_group(self, name: str) -> bool:
        return self.viewer.is_platform or name not in OF_THE_PLATFORM

    def clean_domain(self) -> str:
        text = self.cleaned_data["domain"].strip()
        try:
            return domain_name(text) if text else ""
        except NotADomain as error:
            raise forms.ValidationError("Enter a domain.") from error

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name, field in self.fields.items():
            if isinstance(field.widget, Chosen) and (record := cleaned.get(name)) is not None:
                label_of: Any = field
                field.widget.record = (record.pk, label_of.label_from_instance(record))
        zone = zone_of(cleaned.get("zone") or "UTC")
        if zone is None:
            self.add_error("zone", "No such time zone.")
            return cleaned
        cleaned["zone"] = zone
        for name in ("since", "until"):
            if name in cleaned:
                at = moment_of(cleaned[name], zone)
                if at is None:
                    self.add_error(name, "Enter a date and a time.")
                else:
                    cleaned[name] = at
        if not self.errors and cleaned["since"] >= cleaned["until"]:
            self.add_error("until", "The end is not after the beginning.")
        return cleaned

    def asked(self) -> ExplorerQuery:
        """Return what a valid form asks. At most three queries."""
        values = self.cleaned_data
        grain = GRAINS.get(values["grain"])
        group = values["group"]
        question = Question(
            start=values["since"], end=values["until"], grain=grain or Grain.DAY, zone=values["zone"],
            only=self._only(), group=GROUPS[group][1] if group else None,
        )  # fmt: skip
        given = {name: value for name in self.fields if (value := str(self.data.get(name, "")).strip())}
        return ExplorerQuery(question, grain, group, values["sort"], values["compare"], given)

    def _only(self) -> dict[By, Sequence[Any]]:
        values, only = self.cleaned_data, dict[By, Sequence[Any]]()
        servers = servers_of(self.viewer.user)
        if values.get("organization"):
            servers = servers.filter(organization=values["organization"])
        if values.get("server"):
            servers = servers.filter(pk=values["server"].pk)
        if values.get("organization") or values.get("server") or not self.viewer.is_platform:
            only[By.SERVER] = list(servers.values_list("pk", flat=True))
        addresses = None
        if values.get("pool"):
            members = IPPoolMember.objects.filter(pool=values["pool"])
            addresses = list(members.values_list("ip_address_id", flat=True))
        if values.get("address"):
            one = values["address"].pk
            addresses = [one] if addresses is None or one in addresses else []
        if addresses is not None:
            only[By.ADDRESS] = addresses
        for name, by in (("provider", By.PROVIDER), ("reason", By.REASON), ("signature", By.SIGNATURE)):
            if values.get(name) is not None:
                only[by] = [values[name]]
        if values["domain"]:
            only[By.DOMAIN] = [values["domain"]]
        return only


def zone_of(name: str) -> datetime.tzinfo | None:
    """Return the zone of this name; None where there is none."""
    if name == "UTC":
        return datetime.UTC
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def moment_of(text: str, zone: datetime.tzinfo) -> datetime.datetime | None:
    """Return the moment that a date and time of a zone are, whole minutes, in UTC; None where they are none."""
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    if not _FIRST_YEAR <= at.year < _LAST_YEAR:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(datetime.UTC).replace(second=0, microsecond=0)


# --- Periods that a button gives -------------------------------------------------------------------------------------


def _days(first: int, last: int) -> Callable[[datetime.datetime, datetime.tzinfo], tuple[Any, Any]]:
    """Return what gives the days from so many before today to so many before, both included."""

    def of(now: datetime.datetime, zone: datetime.tzinfo) -> tuple[datetime.datetime, datetime.datetime]:
        today = now.astimezone(zone).date()
        return buckets.day_begins(today - first * _DAY, zone), buckets.day_begins(today - last * _DAY + _DAY, zone)

    return of


def _last_hours(hours: int) -> Callable[[datetime.datetime, datetime.tzinfo], tuple[Any, Any]]:
    def of(now: datetime.datetime, zone: datetime.tzinfo) -> tuple[datetime.datetime, datetime.datetime]:
        end = buckets.start_of_hour(buckets.hour_of(now) + 1)
        return end - hours * _HOUR, end

    return of


def _last_hour(now: datetime.datetime, zone: datetime.tzinfo) -> tuple[datetime.datetime, datetime.datetime]:
    end = now.replace(second=0, microsecond=0) + _HOUR / 60
    return end - _HOUR, end


def _last_month(now: datetime.datetime, zone: datetime.tzinfo) -> tuple[datetime.datetime, datetime.datetime]:
    first = now.astimezone(zone).date().replace(day=1)
    return buckets.day_begins((first - _DAY).replace(day=1), zone), buckets.day_begins(first, zone)


PERIODS: dict[str, tuple[str, Callable[[datetime.datetime, datetime.tzinfo], tuple[Any, Any]]]] = {
    "hour": ("Last hour", _last_hour),
    "24h": ("24 hours", _last_hours(24)),
    "today": ("Today", _days(0, 0)),
    "yesterday": ("Yesterday", _days(1, 1)),
    "7d": ("7 days", _days(6, 0)),
    "30d": ("30 days", _days(29, 0)),
    "month": ("Last month", _last_month),
    "year": ("365 days", _days(364, 0)),
}
DEFAULT_PERIOD = "24h"


def canonical(given: dict[str, str], now: datetime.datetime) -> dict[str, str]:
    """Return what was given with a period as the times that it means now, so that the address says the same tomorrow."""
    zone_name = given.get("zone") or timezone.get_current_timezone_name()
    zone = zone_of(zone_name)
    if zone is None:
        zone_name, zone = "UTC", datetime.UTC
    period = given.get("period", "")
    start, end = PERIODS[period if period in PERIODS else DEFAULT_PERIOD][1](now, zone)
    times = {name: at.astimezone(zone).strftime(FORMAT) for name, at in (("since", start), ("until", end))}
    kept = {name: value for name, value in given.items() if value and name in QueryForm.base_fields}
    # How fine suits the time; what was chosen for another need not.
    kept.pop("grain", None)
    return {**kept, **times, "zone": zone_name}
