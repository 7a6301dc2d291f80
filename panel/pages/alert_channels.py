"""Alert channels: where alerts are sent, and “Send a test”."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from alerts import channels, confirming
from alerts.conditions import CONDITIONS
from alerts.models import Channel, Message
from core import password_links
from core.errors import Conflict
from panel import deletion
from panel.filters import RecordFilter
from panel.forms.base import ActingForm
from panel.forms.fields import select, text_input, time_zone_field
from panel.pages.alerts import title_of
from panel.pages.base import TenantAdmin
from panel.record_actions import ActForm, act, actor_of
from panel.viewer import viewer_of
from servers.access import organizations_changed_by

# Messages on the page of a channel.
SHOWN = 20


HOURS = [("", "–"), *((hour, f"{hour:02}:00") for hour in range(24))]


def hour_field(label: str, help_text: str = "") -> forms.TypedChoiceField:
    """Return a choice of an hour of the day, or none."""
    return forms.TypedChoiceField(
        choices=HOURS, coerce=int, empty_value=None, required=False, label=label, help_text=help_text, widget=select()
    )


class ChannelForm(ActingForm):
    """A channel's own fields. The organization and the kind stay as they are."""

    target = forms.CharField(
        max_length=2000, label="E-mail address, URL or key", required=False, widget=text_input(autocomplete="off")
    )
    time_zone = time_zone_field()
    quiet_from = hour_field("Quiet from", "Alerts wait until the quiet hours are over, and are one message then.")
    quiet_until = hour_field("Quiet until")
    digest_at = hour_field("Daily digest at", "One message a day, at this hour, instead of quiet hours.")
    conditions = forms.MultipleChoiceField(
        choices=[(name, condition.title) for name, condition in CONDITIONS.items()],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="Choose none for all.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit_choices("organization", organizations_changed_by(self.request.user))
        is_platform = viewer_of(self.request).is_platform
        if "organization" in self.fields:
            self.fields["organization"].required = not is_platform
            self.fields["organization"].help_text = "Leave empty for the platform’s own alerts." if is_platform else ""
        if "target" in self.fields:
            self.fields["target"].required = self.is_new
            self.fields["target"].help_text = (
                "A URL or a key is stored encrypted and not shown again." if self.is_new else "Leave empty to keep it."
            )
        if self.is_new and "time_zone" in self.fields:
            self.fields["time_zone"].initial = viewer_of(self.request).user.time_zone
        if "urgent_at_once" in self.fields:
            self.fields["urgent_at_once"].help_text = "In quiet hours and before a digest, too."
        if not is_platform and "conditions" in self.fields:
            field: Any = self.fields["conditions"]
            field.choices = [(name, each.title) for name, each in CONDITIONS.items() if not each.is_platforms]

    def act(self) -> Channel:
        values = dict(self.cleaned_data)
        if self.is_new:
            return channels.create_channel(actor=self.actor, **values)
        if not values.get("target"):
            values.pop("target", None)
        return channels.change_channel(channel=self.instance, actor=self.actor, **values)


class ConfirmForm(ActForm):
    """The address that is confirmed, as it was shown: the organization can enter another at any time."""

    address = forms.CharField(required=False, label="E-mail address", widget=text_input(readonly=True))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.record is not None:
            self.initial.setdefault("address", self.record.shown_target)


@admin.register(Channel)
class ChannelAdmin(TenantAdmin):
    """Alert channels of organizations and of the platform."""

    form = ChannelForm
    list_display = ["name", "kind", "shown_target", "whose", "least", "condition_titles", "when", "state"]
    list_filter = [("organization", RecordFilter), "kind", "enabled"]
    list_select_related = ["organization"]
    search_fields = ["name"]
    search_help_text = "Name"
    autocomplete_fields = ["organization"]
    own_fields = ("name", "kind", "target", "least", "enabled", "conditions")
    time_fields = ("time_zone", "quiet_from", "quiet_until", "digest_at", "urgent_at_once")
    restorable = ("name", "least", "conditions", "enabled", *time_fields)
    actions_detail = ["send_test", "send_link", "confirm"]
    change_form_outer_before_template = "panel/alert_channel/summary.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        return super().get_queryset(request).select_related("organization")

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        names = ["organization" if obj is None else "whose", *self.own_fields]
        if obj is not None:
            names.insert(names.index("target"), "shown_target")
            # Who only reads has no field to enter a new target in.
            if not self.has_change_permission(request, obj):
                names.remove("target")
        return ((None, {"fields": names}), ("When", {"fields": self.time_fields}))

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        return [] if obj is None else ["whose", "kind", "shown_target"]

    @display(description="Organization", ordering="organization", empty_value="The platform")
    def whose(self, record: Channel) -> Any:
        return record.organization

    @display(description="Conditions")
    def condition_titles(self, record: Channel) -> str:
        return ", ".join(title_of(each) for each in record.conditions) or "all"

    @display(description="When")
    def when(self, record: Channel) -> str:
        if record.digest_at is not None:
            return f"daily at {record.digest_at:02}:00"
        if record.quiet_from is not None and record.quiet_until is not None:
            return f"quiet from {record.quiet_from:02}:00 to {record.quiet_until:02}:00"
        return "at once"

    @display(description="State", label={"on": "success", "not confirmed": "warning", "disabled": "default"})
    def state(self, record: Channel) -> str:
        if not record.enabled:
            return "disabled"
        return "not confirmed" if record.is_unconfirmed else "on"

    def has_confirm_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        """The platform answers for addresses that it confirms without their mailbox."""
        return viewer_of(request).is_platform and self.has_change_permission(request, obj)

    def summary_of(self, request: HttpRequest, record: Channel) -> dict[str, Any]:
        return {
            "channel_messages": Message.objects.filter(channel=record).defer("body")[:SHOWN],
            "is_unconfirmed": record.is_unconfirmed,
            "shown_target": record.shown_target,
            "link_problem": "" if password_links.is_possible() else password_links.WHY_NOT,
            "link_days": confirming.VALID_FOR.days,
        }

    def consequences(self, record: Any) -> list[str]:
        return ["Its messages go with it, those that are waiting too."]

    # Nothing can stand against it; tried, it would delete what may be many rows.
    obstacles = deletion.none

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        channels.delete_channel(channel=record, actor=actor_of(request))

    def restore(self, request: HttpRequest, record: Channel, state: dict[str, Any]) -> None:
        channels.change_channel(channel=record, actor=actor_of(request), **state)

    @act(
        title="Send a test",
        description="A message is sent by the channel within some seconds. It says that it is a test.",
        icon="send",
        fits=lambda record: record.enabled and not record.is_unconfirmed,
    )
    def send_test(self, request: HttpRequest, record: Channel, form: ActForm) -> str:
        channels.send_test(channel=record, at=timezone.now(), actor=actor_of(request))
        return "The test is sent within some seconds; its state is below."

    @act(
        title="Send the link again",
        description="The mailbox gets a link to confirm that it wants the alerts. Until then nothing else is sent to it.",
        icon="mark_email_unread",
        fits=lambda record: record.is_unconfirmed,
    )
    def send_link(self, request: HttpRequest, record: Channel, form: ActForm) -> str:
        confirming.request_again(channel=record, actor=actor_of(request))
        return f"A link is sent to {record.shown_target}."

    @act(
        title="Confirm without a link",
        description="Alerts are sent to the address without asking its mailbox. Do so only if you know that it wants them.",
        icon="mark_email_read",
        permission="confirm",
        form=ConfirmForm,
        fits=lambda record: record.is_unconfirmed,
    )
    def confirm(self, request: HttpRequest, record: Channel, form: ActForm) -> str:
        if form.cleaned_data["address"] != record.shown_target:
            raise Conflict("The channel has another address by now: open this again to see it")
        confirming.confirm(channel=record, at=timezone.now(), actor=actor_of(request))
        return f"{record.shown_target} is confirmed."
