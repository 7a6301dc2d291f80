"""The formset of throttling rules of an address or template: up to 250, each with its domains in one field.

The owner and its rules are saved by one act, so they are one form here, not Django's inlines, which would save row by row.
"""

from typing import Any

from django import forms
from django.forms import formset_factory

from core.compiled import Compiled
from core.errors import Fault
from core.references import Reference
from panel.forms import errors
from panel.forms.base import ActingForm
from panel.forms.fields import WholeNumber, number_input, select, text_area
from panel.forms.rows import Rows
from throttling import rule_sets
from throttling.drafts import RuleFields
from throttling.models import ThrottleProgram
from throttling.models.rule import MAX_RULES
from throttling.models.rule_set import HIGHEST_LIMIT

LIMITS = ("max_concurrent_connections", "max_messages_per_hour")
# Slightly more than can be saved, so that the act can report the error; but bounded.
MOST_SENT = MAX_RULES + 50


class RuleForm(forms.Form):
    """One rule. Empty rows are ignored."""

    id = forms.IntegerField(required=False, widget=forms.HiddenInput())
    domains = forms.CharField(
        required=False,
        max_length=100_000,
        widget=text_area(rows=2, placeholder="example.com\n*.example.com", spellcheck="false"),
        help_text="One a line: example.com, *.example.com for its subdomains, [*.]example.com for both.",
    )
    max_concurrent_connections = WholeNumber(
        required=False, min_value=0, max_value=HIGHEST_LIMIT, widget=number_input(), label="Connections at once"
    )
    max_messages_per_hour = WholeNumber(
        required=False, min_value=0, max_value=HIGHEST_LIMIT, widget=number_input(), label="Messages per hour"
    )
    throttle_program = forms.TypedChoiceField(
        required=False, coerce=int, empty_value=None, widget=select(), label="Throttle program"
    )

    def __init__(self, *args: Any, programs: list[tuple[Any, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["throttle_program"].choices = programs  # type: ignore[attr-defined]
        for name in ("domains", *LIMITS, "throttle_program"):
            # The table's headings are the labels; screen readers get them in every row.
            self.fields[name].widget.attrs["aria-label"] = self.fields[name].label or "Domains"
        lines = str(self.initial.get("domains", "")).count("\n") + 1
        self.fields["domains"].widget.attrs["rows"] = max(2, min(lines, 8))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.is_blank:
            for name in LIMITS:
                if name not in self.errors and cleaned.get(name) is None:
                    self.add_error(name, "Is required; 0 means unlimited")
        return cleaned

    @property
    def is_blank(self) -> bool:
        """Whether nothing was filled in."""
        cleaned = self.cleaned_data
        return not self.errors and not any(cleaned.get(name) not in (None, "") for name in ("id", "domains", *LIMITS))

    @property
    def values(self) -> RuleFields:
        """Return the rule as the input of a change."""
        cleaned = self.cleaned_data
        program = cleaned["throttle_program"]
        rule = RuleFields(
            domains=cleaned["domains"].split(),
            max_concurrent_connections=cleaned["max_concurrent_connections"],
            max_messages_per_hour=cleaned["max_messages_per_hour"],
            throttle_program=None if program is None else Reference(program),
        )
        if cleaned["id"]:
            rule["id"] = cleaned["id"]
        return rule


class RuleRows(Rows):
    """The rules of one owner."""

    removal_label = "Remove this rule"


RULE_FORMS = formset_factory(
    RuleForm, formset=RuleRows, extra=1, can_delete=True, max_num=MAX_RULES, absolute_max=MOST_SENT
)


class RulesForm(ActingForm):
    """The form of an owner of throttling rules and a default."""

    # Where the act's faults belong on the page.
    aliases = {name: f"default_{name}" for name in LIMITS}

    default_max_concurrent_connections = WholeNumber(
        required=False,
        min_value=0,
        max_value=HIGHEST_LIMIT,
        widget=number_input(),
        label="Connections at once",
        help_text="For domains that no rule matches. 0 means unlimited.",
    )
    default_max_messages_per_hour = WholeNumber(
        required=False,
        min_value=0,
        max_value=HIGHEST_LIMIT,
        widget=number_input(),
        label="Messages per hour",
        help_text="For domains that no rule matches. 0 means unlimited.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rules: Any = None
        if "default_max_concurrent_connections" not in self.fields:
            return
        rule_set = None if self.is_new else self.instance.rules
        documents = [] if rule_set is None else [rule.document() for rule in rule_sets.rules_of(rule_set.pk)]
        for name in LIMITS:
            self.initial.setdefault(f"default_{name}", None if rule_set is None else getattr(rule_set, name))
        self.rules = RULE_FORMS(
            self.data if self.is_bound else None,
            prefix="rules",
            initial=[_initial(each) for each in documents],
            form_kwargs={"programs": _programs()},
        )

    def has_changed(self) -> bool:
        return super().has_changed() or (self.rules is not None and self.rules.has_changed())

    def full_clean(self) -> None:
        # Before the act, which is this form's last step.
        if self.is_bound and self.rules is not None:
            self.rules.full_clean()
        super().full_clean()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.rules is not None and not self.rules.is_valid():
            others = self.rules.non_form_errors()
            self.add_error(None, list(others) if others else "Correct the errors in the rules below")
        return cleaned

    def rule_values(self) -> dict[str, Any]:
        """Return the default limits and `rules` as the input of a change."""
        return {
            **{name: self.cleaned_data.get(f"default_{name}") for name in LIMITS},
            "rules": [form.values for form in self.rules.kept()],
        }

    def take_fault(self, fault: Fault) -> bool:
        """Show a fault such as `rules[2].domains[0]` at that rule; False if it is not of a rule."""
        head, _, rest = fault.path.partition(".")
        if not head.startswith("rules["):
            return False
        row = self.rules.kept()[int(head[len("rules[") : -1])]
        row.add_error(errors.field_of(row, rest), errors.sentence(fault.message))
        if not self.non_field_errors():
            self.add_error(None, "Correct the errors in the rules below")
        return True


def _initial(document: dict[str, Any]) -> dict[str, Any]:
    program = document["throttle_program"]
    return {
        **document,
        "domains": "\n".join(document["domains"]),
        "throttle_program": "" if program is None else program["id"],
    }


def _programs() -> list[tuple[Any, str]]:
    """Return the choices of every row, by one query."""
    return [("", "None"), *_PROGRAMS.all()]


_PROGRAMS = Compiled((), lambda: ThrottleProgram.objects.order_by("name_key").values_list("pk", "name"))
