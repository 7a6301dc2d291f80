"""The faults of an input: what is known of a field, or of what it is a part of, is not told again."""

import time

import pytest

from core.errors import Faults
from tests.slowness import on_this_machine


@pytest.mark.parametrize(
    ("known", "path", "is_told"),
    [
        ("rules", "rules", False),
        ("rules", "rules[0]", False),
        ("rules", "rules[0].domains[3]", False),
        ("rules[0]", "rules[0].domains", False),
        ("rules[0]", "rules[01]", True),
        ("rules[0]", "rules[0]x", True),
        ("rules[0]", "rules", True),
        ("rules", "rules_new", True),
        ("default", "default.mode", False),
        ("", "name", True),
    ],
)
def test_what_is_known_is_not_told_again(known, path, is_told):
    faults = Faults()
    faults.add_known(known, "is wrong")
    faults.add(path, "is wrong too")
    assert len(faults.found) == (2 if is_told else 1)


def test_many_faults_cost_no_more_than_their_number():
    """A request of a hundred kilobytes with a fault in each of its entries took minutes, under a lock."""
    faults = Faults()
    for number in range(30_000):
        faults.add_known(f"rules[{number}]", "must be an object")
    begun = time.process_time()
    for number in range(30_000):
        faults.add(f"rules[{number}].domains", "is required")
    assert time.process_time() - begun < on_this_machine(5)
    assert len(faults.found) == 30_000
