"""When a share is more than chance makes of half of it."""

from math import comb

import pytest

from throttling.significance import ENOUGH, least_significant


def at_least(number: int, tries: int, usual: float) -> float:
    return sum(comb(tries, k) * usual**k * (1 - usual) ** (tries - k) for k in range(number, tries + 1))


@pytest.mark.parametrize("tries", [1, 20, 300, 500])
@pytest.mark.parametrize(("allowed", "scale"), [(10, 10_000), (50, 100), (5, 100)])
@pytest.mark.parametrize("likelihood", [0.01, 0.005])
def test_it_is_the_least_that_is_a_share_and_unlikely(tries: int, allowed: int, scale: int, likelihood: float) -> None:
    found = least_significant(tries, allowed, scale=scale, likelihood=likelihood)
    share, usual = -(-tries * allowed // scale), allowed / scale / 2
    if share > ENOUGH:
        assert found == share
        return
    enough = [number for number in range(share, tries + 1) if at_least(number, tries, usual) < likelihood]
    assert found == (enough[0] if enough else tries)


def test_nothing_allowed_is_exceeded_by_one() -> None:
    assert least_significant(300, 0, scale=100, likelihood=0.01) == 1
    assert least_significant(0, 10, scale=100, likelihood=0.01) == 0
