"""Who sends the requests: two tenants with keys, and a user of the GreenArrow dialect."""

import base64
import json
import subprocess
import sys
from dataclasses import dataclass, field, replace
from random import Random

from core.keys import digest
from tests.fuzz import corpus
from tests.fuzz.mutate import Request
from tests.fuzz.prepare import USER
from tests.fuzz.state import State
from tests.fuzz.transport import send
from tools.panel import ROOT, Panel

# Where the runner tells schemathesis's process whom it may play.
CAST = "SLUICE_FUZZ_CAST"


@dataclass(frozen=True)
class Tenant:
    """An organization that makes servers without a key, so that a deleted one is replaced by one request."""

    organization: str
    key: str

    def with_new_server(self, url: str, name: str) -> "Tenant":
        body = json.dumps({"organization_uuid": self.organization, "name": name}).encode()
        headers = {"Content-Type": "application/json"}
        answer = json.loads(send(url, Request("POST", "/api/v1/servers/create", headers, body)).body)
        return replace(self, key=answer["data"]["server"]["api_key"])


@dataclass(frozen=True)
class Cast:
    """The tenants (the first one calls, mostly), the user's token, and those of event sources by format."""

    tenants: tuple[Tenant, ...]
    token: str
    made: int = 0
    sources: dict[str, str] = field(default_factory=dict)

    def postal_headers(self, random: Random) -> dict[str, str]:
        """Return a key, or now and then none."""
        if random.random() < 0.1:
            return {}
        return {"X-Server-API-Key": random.choice(self.tenants).key}

    def greenarrow_headers(self) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{USER}:{self.token}".encode()).decode()}

    def ids(self, state: State, random: Random) -> dict[str, list[str]]:
        """Return what the placeholders become: mostly ids that exist, of either tenant."""
        odd = ["0", "-1", "999999999", "9" * 30, "abc", "1.5", "%", "é", "\x00", "01", " 1"]
        ids = {
            kind: odd if random.random() < 0.1 else state.pks(table) or ["1"] for kind, table in corpus.TABLES.items()
        }
        return {
            **ids,
            "organization": [random.choice(self.tenants).organization],
            **{kind: state.uuids(table) for kind, table in corpus.UUID_TABLES.items()},
        }

    def again(self, url: str, state: State) -> "Cast":
        """Return a cast whose keys work, where the last request deleted a server."""
        working = state.working_digests()
        if all(digest(each.key) in working for each in self.tenants):
            return self
        made = self.made + 1
        tenants = tuple(
            each if digest(each.key) in working else each.with_new_server(url, f"Server {made}")
            for each in self.tenants
        )
        return replace(self, tenants=tenants, made=made)


def make_cast(sluice: Panel) -> Cast:
    """Make what `fuzz.prepare` says, in the panel's database."""
    command = [sys.executable, "-m", "tests.fuzz.prepare"]
    done = subprocess.run(command, cwd=ROOT, env=sluice.environment, check=True, stdout=subprocess.PIPE)
    told = json.loads(done.stdout)
    return Cast(tuple(Tenant(**each) for each in told["tenants"]), told["token"], sources=told["sources"])
