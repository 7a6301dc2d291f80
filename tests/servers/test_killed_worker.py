"""A worker that is killed in the middle of a sweep: what it had claimed stays untouched until the claims run out."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.dns_server import SILENT, LocalDNS
from tools import migrated, panel

pytestmark = [pytest.mark.server, pytest.mark.live]

NUMBER = 5
SWEEP = ["shell", "--no-imports", "-v", "0", "-c", "from servers.tasks import check_domains; check_domains()"]
MAKE = f"""
from django.utils import timezone
from core.audit import Actor
from servers.models import Domain
from servers.provisioning import create_organization, create_server
organization = create_organization(name="ACME Inc", at=timezone.now(), actor=Actor.system())
server = create_server(organization=organization, name="Mail", actor=Actor.system()).server
Domain.objects.bulk_create(Domain(server=server, name=f"d{{n}}.example") for n in range({NUMBER}))
"""
# What ten minutes would do.
LET_CLAIMS_RUN_OUT = "UPDATE servers_domain SET dns_claimed_until = ?, dns_next_check_at = ?"


class Rows:
    """The domains as the database has them."""

    def __init__(self, folder: Path) -> None:
        [self.file] = folder.glob("*.sqlite3")

    def ask(self, statement: str, *values: str) -> list[tuple[int]]:
        with closing(sqlite3.connect(self.file, timeout=20, autocommit=True)) as database:
            return database.execute(statement, values).fetchall()

    def count(self, condition: str) -> int:
        [(number,)] = self.ask(f"SELECT count(*) FROM servers_domain WHERE {condition}")
        return number

    def let_claims_run_out(self) -> None:
        self.ask(LET_CLAIMS_RUN_OUT, "2026-01-01 00:00:00", "2026-01-01 00:00:00")


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_another_takes_over_when_the_claims_have_run_out(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    with LocalDNS() as dns:
        kept = {name: value for name, value in os.environ.items() if name not in panel.PLACES}
        environment = kept | {"SLUICE_DATA_DIR": str(folder), "SLUICE_DNS_SERVERS": dns.address}
        migrated.migrated(environment, lambda: panel.manage(environment, "migrate", "--verbosity", "0"))
        panel.manage(environment, "shell", "--no-imports", "-v", "0", "-c", MAKE)
        rows = Rows(folder)
        for number in range(NUMBER):
            dns.fault(f"d{number}.example", SILENT)

        with subprocess.Popen([sys.executable, "manage.py", *SWEEP], cwd=panel.ROOT, env=environment) as worker:
            wait_for(lambda: len(dns.questions()) == NUMBER)
            worker.kill()
        assert (rows.count("dns_claim IS NOT NULL"), rows.count("dns_checked_at IS NOT NULL")) == (NUMBER, 0)

        dns.heal()
        dns.asked.clear()
        panel.manage(environment, *SWEEP)
        # Not its own: the other could be alive, and slow.
        assert (dns.questions(), rows.count("dns_claim IS NOT NULL")) == ({}, NUMBER)

        rows.let_claims_run_out()
        panel.manage(environment, *SWEEP)
        assert rows.count("dns_claim IS NULL AND dns_claimed_until IS NULL AND mx_status = 'missing'") == NUMBER
        assert {dns.questions()[f"d{number}.example", "MX"] for number in range(NUMBER)} == {1}
