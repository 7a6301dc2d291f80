"""manage.py policy"""

import json

import pytest

from nodes.models import Revision
from tests.cast import ANN, make_pool
from tests.nodes.platform import make_site, rule
from tests.words import ip_addresses

pytestmark = pytest.mark.django_db
COMMAND = "policy"


@pytest.fixture
def site(acme, globex, settings):
    settings.SLUICE_PUBLISH = "manual"
    return make_site(acme, globex, make_pool)


@pytest.mark.storage
def test_it_works(run, site, tmp_path):
    first = run(COMMAND, "publish", "--json").document
    assert (first["action"], first["revision"], first["kind"]) == ("publish", 1, "published")
    assert [node["node"] for node in first["nodes"]] == ["here", "there"]
    ip_addresses.update(site.second.pk, {"rules_new": [rule(["yahoo.com"], 5, 0)]}, actor=ANN)
    found = run(COMMAND, "diff", "--json").document
    assert found["nodes"][0]["changes"][0] == "yahoo.com on 1 address unlimited → 5 connections"
    assert run(COMMAND, "publish", "--json").document["revision"] == 2
    again = run(COMMAND, "rollback", "1", "--json").document
    assert (again["revision"], again["kind"], again["repeats"]) == (3, "rollback", 1)
    shown = run(COMMAND, "show", "HERE", "--output", str(tmp_path / "out"), "--json").document
    assert (shown["revision"], shown["node"], shown["kind"], shown["files"]) == (3, "here", "haraka", ["sluice.json"])
    assert json.loads((tmp_path / "out" / "sluice.json").read_text())["revision"] == 3


def test_it_tells_a_person(run, site):
    run(COMMAND, "publish")
    assert run(COMMAND, "diff").stdout == "Nothing would change on any node.\n"
    ip_addresses.update(site.second.pk, {"rules_new": [rule(["yahoo.com"], 5, 0)]}, actor=ANN)
    lines = run(COMMAND, "diff").stdout.splitlines()
    assert lines[:5] == [
        "Publishing would create r2:",
        "",
        "here (haraka)",
        "  yahoo.com on 1 address unlimited → 5 connections",
        "  2 other patterns unchanged; 1 customer, 1 server send there",
    ]
    assert "  --- a/sluice.json" in lines
    replayed = run(COMMAND, "diff", "--replay").stdout.splitlines()
    assert replayed[-2].startswith("here, replayed since ")
    assert replayed[-1] == "  No hourly limit of this mail changes."
    assert run(COMMAND, "publish").stdout.startswith("r2 is published.\n")
    assert run(COMMAND, "show", "here").stdout == "r2 for here (haraka)\nsluice.json\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["rollback", "7"], "The revision 7 could not be found."),
        (["rollback", "x"], "x is not the number of a revision."),
        (["rollback"], "`rollback` takes a revision, `show` the name of a node; `diff` and `publish` take nothing."),
        (["diff", "7"], "`rollback` takes a revision, `show` the name of a node; `diff` and `publish` take nothing."),
        (["show", "nowhere"], "The node nowhere could not be found."),
        (["show", "here"], "No revision has been published for this node yet."),
    ],
)
def test_it_refuses(run, site, arguments, error):
    assert run(COMMAND, *arguments).error == error
    assert not Revision.objects.exists()


def test_there_must_be_a_node(run, db):
    assert run(COMMAND, "publish").error == "There are no nodes to publish to."
