"""Fills a NetBox, by its own Python and in its own process; prints the ids and keys that the measurement needs, as JSON.

Run by tests/benchmarks/netbox_server.py with NetBox's folder on the path. What is written in bulk is what NetBox's own pages
show of an address: a tenant, a prefix it lies in, a DNS name and a description.
"""

import json
import sys

import django

ADDRESSES, TENANTS, PREFIXES = 5_000, 200, 20


def main() -> None:
    """Write the rows, a superuser with a token, and a session of theirs."""
    django.setup()
    # Not before NetBox is set up, and by name: these are NetBox's applications, not ours.
    from django.apps import apps
    from django.contrib.auth import get_user_model
    from django.test import Client

    model = apps.get_model
    user = get_user_model()._default_manager.create_superuser("bench", "bench@example.com", "bench-bench-1")
    token = model("users", "Token")(user=user)
    token.save()
    tenants = model("tenancy", "Tenant").objects
    tenants.bulk_create(tenants.model(name=f"Tenant {n}", slug=f"tenant-{n}") for n in range(TENANTS))
    of_tenants = list(tenants.order_by("pk"))
    prefixes = model("ipam", "Prefix").objects
    for n in range(PREFIXES):
        prefixes.create(prefix=f"10.88.{n}.0/24", tenant=of_tenants[n])
    addresses = model("ipam", "IPAddress").objects
    addresses.bulk_create(
        addresses.model(
            address=f"10.88.{n // 250}.{n % 250 + 1}/24", tenant=of_tenants[n % TENANTS], dns_name=f"mx{n}.tenant.example",
            description=f"Egress {n}",
        )
        for n in range(ADDRESSES)
    )  # fmt: skip
    client = Client()
    client.force_login(user, backend="netbox.authentication.ObjectPermissionBackend")
    found = {
        "address_id": addresses.get(address="10.88.10.1/24").pk,
        "tenant_id": of_tenants[0].pk,
        "authorization": f"{token.get_auth_header_prefix()}{token.token}",
        "cookie": f"sessionid={client.cookies['sessionid'].value}",
    }
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
