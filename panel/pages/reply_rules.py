"""Reply rules: operators' own classification of SMTP replies."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from panel.forms.base import ActingForm
from panel.pages.base import PanelAdmin
from panel.record_actions import actor_of
from stats.intake import reply_rules
from stats.models import ReplyRule


class ReplyRuleForm(ActingForm):
    """A rule's own fields."""

    helps = {
        "pattern": "Words of the reply, such as “mailbox ~ full”: ~ stands for up to five words. Empty: by code alone.",
        "code": "SMTP codes, separated by commas, such as 550, 5xx, 5.7.1 or *.2.2. Leave empty for any code.",
        "provider": "The name of a provider, such as Gmail. Leave empty for all.",
        "position": "Rules are read in this order, and before the built-in ones; the first that matches decides.",
    }

    def act(self) -> ReplyRule:
        if self.is_new:
            return reply_rules.create_rule(actor=self.actor, **self.cleaned_data)
        return reply_rules.change_rule(rule=self.instance, actor=self.actor, **self.cleaned_data)


@admin.register(ReplyRule)
class ReplyRuleAdmin(PanelAdmin):
    """Reply rules."""

    form = ReplyRuleForm
    list_display = ["pattern", "code", "provider", "reason", "position", "note"]
    list_filter = ["reason"]
    search_fields = ["pattern", "code", "note"]
    search_help_text = "Pattern, code or note"
    fields = ["pattern", "code", "provider", "reason", "position", "note"]

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        reply_rules.delete_rule(rule=record, actor=actor_of(request))
