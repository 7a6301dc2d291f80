"""Forms of the panel, sent as a browser sends them, and what came of it."""

from django.urls import reverse

from core.models import AuditEntry

YES = {"_form_submitted": "on"}


def add(client, label, data):
    return client.post(reverse(f"admin:{label}_add"), data)


def change(client, record, data, page="change"):
    label = f"{record._meta.app_label}_{record._meta.model_name}"
    return client.post(reverse(f"admin:{label}_{page}", args=[record.pk]), data)


def imported(client, url, text):
    """Import a text after the dry run; where it is refused there, return that."""
    looked = client.post(url, {"text": text})
    if looked.context["form"].non_field_errors():
        return looked
    return client.post(url, {"text": text, "confirmed": looked.context["mark"]})


def errors(response):
    return {name: list(found) for name, found in response.context["adminform"].form.errors.items()}


def last():
    entry = AuditEntry.objects.latest("pk")
    return entry.act, entry.actor_label, entry.organization_id
