"""Statistical significance of a share that is higher than an allowed one. Pure."""

from functools import lru_cache

# From so many on, the share decides alone: chance no longer gives twice what is usual.
ENOUGH = 50


@lru_cache(maxsize=10_000)
def least_significant(tries: int, allowed: int, *, scale: int, likelihood: float) -> int:
    """Return how many of the tries make the allowed share (in parts of `scale`), and significantly more than half of it.

    Significantly: where half of the share is usual, so many come with less than this likelihood.
    """
    share = -(-tries * allowed // scale)
    if share > ENOUGH:
        return share
    usual = allowed / (2 * scale)
    # The chance of exactly `number`, and of at least as many.
    exactly, at_least = (1 - usual) ** tries, 1.0
    number = 0
    while number < share or (at_least >= likelihood and number < tries):
        at_least -= exactly
        exactly *= (tries - number) / (number + 1) * usual / (1 - usual)
        number += 1
    return number
