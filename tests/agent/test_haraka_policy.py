"""The plug-in's reading of the policy: which addresses rest, whose mail waits, who is refused."""

import json
import pathlib
import shutil
import subprocess

import pytest

from tests.agent.conftest import AGENT

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here (20 or newer)")


def test_it_works() -> None:
    script = pathlib.Path(__file__).with_name("policy.js")
    done = subprocess.run(["node", str(script), str(AGENT / "haraka")], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == {
        # Of weight 0: only where there is no other.
        "all": ["a1", "a2"],
        "rests": ["a2"],
        # There is no other: the mail waits, until the next hour.
        "rests_alone": [],
        "next_hour": ["a1"],
        "rests_and_paused": ["a3"],
        "only_it_is_left": [],
        "at_yahoo": ["a2"],
        "below_yahoo": ["a2"],
        "elsewhere": ["a1", "a2"],
        # Whether it sends to a domain, to one below it, to one below that, and to three others.
        "both_ways": [False, False, False, True, True, True],
        "deferrals": [None, "Its limit is reached", "This server is suspended"],
        "later": None,
        # A suspension is no refusal: the client keeps its mail.
        "refusals": [None, None, "This server has no IP pool", "This server does not send by this machine"],
        "limits": [{"hour": 5, "day": None, "month": None}, {}],
        # Its organization was renamed and another has its name; that other one; one that the node no longer has; an older
        # plug-in's message; mail of others.
        "names": ["acme-inc/mail", "acme/mail", "u3", "acme/mail", None],
        "pools": ["p1", "p2", None],
        "uuids": ["u1", "u2", None, None],
        # The narrowest network wins, then the older credential.
        "clients": [
            *("b/narrow", "c/older", None, "d/six", "d/six", "f/one", "h/all", "g/embedded", "h/all"),
            *(None, None),
        ],
        # Whoever connects is looked for among the networks of all tenants: a hundred clients in half a second, of 100,000.
        "is_fast": True,
    }
