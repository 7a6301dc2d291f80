"""`python -m tests.faults.prepare`: what an installation begins with, by one process, told as one JSON object."""

import json
import os

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.utils import timezone

    from core.audit import Actor
    from core.encryption import decrypt
    from core.models import User
    from core.tokens import create_token
    from servers.pools import create_pool
    from servers.provisioning import create_organization, create_server
    from tests.faults.installation import ADDRESS, PASSWORD, POOL

    actor = Actor.of_command("faults")
    organization = create_organization(at=timezone.now(), name="ACME Inc", permalink="acme", actor=actor)
    create_pool(organization=organization, name=POOL, ips=[ADDRESS], actor=actor)
    created = create_server(organization=organization, name="Mail", actor=actor)
    operator = User.objects.create_superuser("operator", "operator@example.com", PASSWORD, api_level=User.ApiLevel.YES)
    token = create_token(user=operator, name="faults", expires_at=None, at=timezone.now(), actor=actor)
    print(
        json.dumps(
            {
                "organization": str(organization.uuid),
                "server": str(created.server.uuid),
                "key": decrypt(created.api_credential.key_ciphertext),
                "token": token.key,
            }
        )
    )


if __name__ == "__main__":
    main()
