"""`python -m tests.fuzz.prepare`: what a fuzzed panel begins with, by one process, told as one JSON object."""

import json
import os

import django

USER = "fuzzer"
NAMES = ("ACME Inc", "Globex")


def main() -> None:
    """Make two tenants with a webhook each, a template and a program that are not built in, and a user with a token."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.utils import timezone

    from core.audit import Actor
    from core.encryption import decrypt
    from core.models import User
    from core.tokens import create_token
    from servers.pools import create_pool
    from servers.provisioning import create_organization, create_server
    from servers.webhooks import create_webhook
    from stats.intake.event_sources import make_source
    from tests.words import programs, templates
    from webhooks.queueing import queue, targets_of

    actor = Actor.of_command("fuzz")
    tenants = []
    for number, name in enumerate(NAMES, start=1):
        organization = create_organization(at=timezone.now(), name=name, allow_keyless_create=True, actor=actor)
        ips = [f"192.0.2.{10 * number + last}" for last in range(1, 4)]
        create_pool(organization=organization, name="Main Pool", ips=ips, actor=actor)
        created = create_server(organization=organization, name="First", actor=actor)
        # No worker runs, so that the delivery waits.
        create_webhook(server=created.server, name="Hook", url="https://hooks.example/", actor=actor)
        [target] = targets_of([created.server.pk])[created.server.pk]
        queue([(target, "MessageSent", {"details": "fuzz"})], now=timezone.now())
        key = decrypt(created.api_credential.key_ciphertext)
        tenants.append({"organization": str(organization.uuid), "key": key})
    # Logs, columns and objects: the readers of the other formats are made of the same parts.
    sources = {
        each: make_source(name=each, format=each, default_server=created.server, actor=actor).token
        for each in ("postfix", "powermta", "sendgrid")
    }
    default = {"max_concurrent_connections": 2, "max_messages_per_hour": 70}
    templates.create({"name": "Basic", "default": default}, actor=actor)
    backoff = {
        "max_concurrent_connections": {"mode": "percent", "value": 50},
        "max_messages_per_hour": {"mode": "fixed", "value": 100},
        "return_after": 600,
    }
    programs.create(
        {"name": "Careful", "backoff": backoff, "triggers": {"failure_rate": None, "deferral_rate": 20}}, actor=actor
    )
    user = User.objects.create_superuser(USER, api_level=User.ApiLevel.YES)
    token = create_token(user=user, name="fuzz", expires_at=None, at=timezone.now(), actor=actor)
    print(json.dumps({"tenants": tenants, "token": token.key, "sources": sources}))


if __name__ == "__main__":
    main()
