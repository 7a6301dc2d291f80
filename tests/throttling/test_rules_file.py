"""throttling.rules_file: what a file of rules may cost."""

import time

import pytest

from core import csv_table
from core.errors import Invalid
from tests import factories
from tests.slowness import on_this_machine
from throttling import rules_file


@pytest.mark.django_db
def test_domains_are_counted_before_they_are_compared():
    template = factories.default_template()
    cell = " ".join(f"bücher{number}.example" for number in range(60_000))
    rows = csv_table.read(
        f"{','.join(rules_file.COLUMNS[:3])}\n" + f"{cell[:130_000]},1,1\n" * 8, rules_file.COLUMNS, needed=[]
    )
    began = time.process_time()

    with pytest.raises(Invalid) as refused:
        rules_file.read(rows, template.rules)

    assert str(refused.value) == "domains must not have more than 10,000 domains in all"
    # Each takes some 50 µs to normalize.
    assert time.process_time() - began < on_this_machine(1)
