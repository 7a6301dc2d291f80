"""Which addresses are drained and restored: each trouble, each rail, and that nothing flaps whatever happens."""

import dataclasses
import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from throttling.drain import (
    LONGEST_HOLD,
    WELL_FOR,
    Address,
    Effect,
    Group,
    Mode,
    State,
    Step,
    Trouble,
    TroubleKind,
    acceptance,
    back_off,
    decide,
    hold,
    least_mode,
)

NOW = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
LISTED = Trouble(TroubleKind.LISTED, "listed: bl.example lists 192.0.2.1 (127.0.0.2)")
BROKEN = Trouble(TroubleKind.IDENTITY, "its DNS identity is broken")
AT_YAHOO = Trouble(TroubleKind.ACCEPTANCE, "Yahoo accepted 20 % of 300 attempts", frozenset({"Yahoo"}))
AT_BOTH = Trouble(TroubleKind.BACK_OFF, "it backs off at 2 providers: Gmail, Yahoo", frozenset({"Gmail", "Yahoo"}))
ALL = frozenset()


def pool(number=8, **of):
    """Addresses that act, numbered from 1; `of` has what some have of their own: `a1={...}`."""
    return {
        pk: dataclasses.replace(Address(pk, f"192.0.2.{pk}", Mode.ACT), **of.get(f"a{pk}", {}))
        for pk in range(1, number + 1)
    }


def whole(addresses, share=30):
    return [Group("pool P", tuple(addresses), share)]


def effects(steps):
    return {step.address_id: step.effect for step in steps}


def drained(**columns):
    return State(Effect.DRAINED, **columns)


def test_it_works():
    addresses = pool(a1={"troubles": (LISTED,)})
    told = "Listed: bl.example lists 192.0.2.1 (127.0.0.2). "
    told += "1 of 8 sending addresses of pool P is drained, at most 2 may be (30 %)"
    kinds = (TroubleKind.LISTED,)
    assert decide(addresses, whole(addresses), NOW) == [Step(1, Effect.DRAINED, ALL, told, kinds=kinds)]


def test_it_only_tells_where_it_watches():
    addresses = pool(a1={"troubles": (LISTED,), "mode": Mode.WATCH})
    told = "Listed: bl.example lists 192.0.2.1 (127.0.0.2). Not drained: the pool only watches"
    kinds = (TroubleKind.LISTED,)
    assert decide(addresses, whole(addresses), NOW) == [Step(1, Effect.TOLD, ALL, told, kinds=kinds)]
    # What has been told is not told again.
    addresses[1] = dataclasses.replace(addresses[1], state=State(Effect.TOLD))
    assert decide(addresses, whole(addresses), NOW) == []


def test_off_restores_and_says_so():
    addresses = pool(a1={"troubles": (LISTED,), "mode": Mode.OFF}, a2={"mode": Mode.OFF, "state": drained()})
    assert decide(addresses, whole(addresses), NOW) == [Step(2, None, reason="Draining is off")]
    lone = {1: dataclasses.replace(addresses[1], mode=Mode.ACT)}
    assert decide(lone, [], NOW) == []


def test_a_paused_or_redirected_address_is_left_alone():
    addresses = pool(a1={"troubles": (LISTED,), "sends": False})
    assert decide(addresses, whole(addresses), NOW) == []


@pytest.mark.parametrize(
    ("number", "share", "most"), [(3, 30, 0), (4, 30, 1), (6, 30, 1), (7, 30, 2), (10, 30, 3), (2, 50, 1)]
)
def test_never_more_than_the_share(number, share, most):
    addresses = pool(number, a1={"troubles": (LISTED,)})
    spoilt = {f"a{pk}": {"troubles": (kind,)} for pk, kind in enumerate((LISTED, BROKEN, AT_YAHOO, AT_BOTH), start=1)}
    addresses = pool(number, **{name: each for name, each in spoilt.items() if int(name[1:]) <= number})
    steps = decide(addresses, whole(addresses, share), NOW)
    found = [step for step in steps if step.effect == Effect.DRAINED]
    assert len(found) == most
    # The worst come first, and what is held back says why.
    assert [step.address_id for step in found] == ([1, 2, 4, 3][:most] if most < 3 else [1, 2, 4])
    withheld = [step for step in steps if step.effect == Effect.WITHHELD]
    assert all("Not drained: " in step.reason for step in withheld)
    assert len(found) + len(withheld) == min(number, 4)


def test_never_the_last_of_a_node():
    addresses = pool(8, a1={"troubles": (LISTED,)})
    groups = [*whole(addresses), Group("pool P on node mta1", (1,), None)]
    [step] = decide(addresses, groups, NOW)
    assert (step.effect, step.reason.split(". ")[1]) == (
        Effect.WITHHELD, "Not drained: no other address of pool P on node mta1 could send its mail",
    )  # fmt: skip


def test_addresses_that_are_warmed_up_or_paused_stand_in_for_nobody():
    fresh = {f"a{pk}": {"is_warming": True} for pk in range(2, 9)}
    addresses = pool(8, a1={"troubles": (LISTED,)}, **fresh)
    assert effects(decide(addresses, whole(addresses), NOW)) == {1: Effect.WITHHELD}
    paused = {f"a{pk}": {"sends": False} for pk in range(2, 8)}
    addresses = pool(8, a1={"troubles": (LISTED,)}, **paused)
    assert effects(decide(addresses, whole(addresses), NOW)) == {1: Effect.WITHHELD}


def test_weight_counts_as_well_as_number():
    addresses = pool(8, a1={"troubles": (LISTED,)}, **{f"a{pk}": {"weight": 10} for pk in range(2, 9)})
    [step] = decide(addresses, whole(addresses), NOW)
    assert step.effect == Effect.WITHHELD
    assert step.reason.endswith("the drained addresses of pool P would have more than 30 % of its weight")


def test_a_common_cause_drains_nobody():
    addresses = pool(8, **{f"a{pk}": {"troubles": (LISTED,)} for pk in range(1, 6)})
    steps = decide(addresses, whole(addresses), NOW)
    assert effects(steps) == dict.fromkeys(range(1, 6), Effect.WITHHELD)
    assert steps[0].reason.endswith(
        "5 of 8 addresses of pool P are listed: a common cause, which draining does not remove"
    )
    # One that has a trouble of its own besides is drained for that.
    addresses[1] = dataclasses.replace(addresses[1], troubles=(LISTED, BROKEN))
    assert effects(decide(addresses, whole(addresses), NOW))[1] == Effect.DRAINED


def test_it_is_restored_when_it_has_been_well_for_a_time():
    addresses = pool(a1={"state": drained()})
    assert decide(addresses, whole(addresses), NOW) == [Step(1, Effect.DRAINED, ALL, well_since=NOW)]
    addresses[1] = dataclasses.replace(addresses[1], state=drained(well_since=NOW))
    assert decide(addresses, whole(addresses), NOW + WELL_FOR - HOUR) == []
    assert decide(addresses, whole(addresses), NOW + WELL_FOR) == [
        Step(1, None, reason="No trouble since 27 November 12:00 UTC, for 6 hours")
    ]
    # The trouble comes back before: it begins anew.
    addresses[1] = dataclasses.replace(addresses[1], troubles=(LISTED,))
    assert decide(addresses, whole(addresses), NOW + HOUR) == [
        Step(1, Effect.DRAINED, ALL, kinds=(TroubleKind.LISTED,))
    ]


def test_each_relapse_doubles_the_time():
    assert [hold(relapses) for relapses in (0, 1, 2, 3)] == [WELL_FOR, 2 * WELL_FOR, 4 * WELL_FOR, 8 * WELL_FOR]
    assert hold(100) == LONGEST_HOLD


def test_a_drain_is_for_the_providers_concerned_and_only_widens():
    addresses = pool(a1={"troubles": (AT_YAHOO,)})
    [step] = decide(addresses, whole(addresses), NOW)
    assert (step.effect, step.scope) == (Effect.DRAINED, frozenset({"Yahoo"}))
    addresses[1] = dataclasses.replace(addresses[1], troubles=(AT_BOTH,), state=drained(scope=step.scope))
    [step] = decide(addresses, whole(addresses), NOW)
    assert step.scope == frozenset({"Gmail", "Yahoo"})
    assert step.reason.startswith("It backs off at 2 providers: Gmail, Yahoo. 1 of 8")
    addresses[1] = dataclasses.replace(addresses[1], troubles=(AT_YAHOO,), state=drained(scope=step.scope))
    assert decide(addresses, whole(addresses), NOW) == []
    addresses[1] = dataclasses.replace(addresses[1], troubles=(AT_YAHOO, LISTED))
    assert [step.scope for step in decide(addresses, whole(addresses), NOW)] == [ALL]


def test_what_an_operator_took_out_is_spared():
    addresses = pool(a1={"troubles": (LISTED,), "spared_until": NOW + HOUR})
    assert decide(addresses, whole(addresses), NOW) == []
    assert effects(decide(addresses, whole(addresses), NOW + HOUR)) == {1: Effect.DRAINED}


def test_what_is_drained_stays_where_worse_comes():
    addresses = pool(
        4, a1={"troubles": (AT_YAHOO,), "state": drained(scope=AT_YAHOO.scope)}, a2={"troubles": (LISTED,)}
    )
    assert effects(decide(addresses, whole(addresses), NOW)) == {2: Effect.WITHHELD}


def test_a_pool_that_shrinks_gets_its_addresses_back():
    gone = {f"a{pk}": {"sends": False} for pk in range(3, 7)}
    addresses = pool(8, a1={"troubles": (LISTED,), "state": drained()}, a2={"state": drained(well_since=NOW)}, **gone)
    [step] = decide(addresses, whole(addresses), NOW)
    assert (step.address_id, step.effect) == (2, None)
    assert step.reason == "Restored before its time: at most 1 of 4 addresses of pool P may be drained (30 %)"


@pytest.mark.parametrize(
    ("own", "others", "found"),
    [((40, 200), (190, 200), True), ((130, 200), (190, 200), True), ((131, 200), (190, 200), False),
     ((0, 199), (190, 200), False), ((0, 200), (190, 199), False), ((0, 300), (90, 400), False)],
)  # fmt: skip
def test_far_below_the_pool(own, others, found):
    trouble = acceptance("Yahoo", own, others, hours=3)
    assert (trouble is not None) == found
    if found:
        assert trouble.scope == frozenset({"Yahoo"})


def test_far_below_says_its_numbers():
    assert acceptance("Yahoo", (300, 1200), (1900, 2000), hours=8).sentence == (
        "Yahoo accepted 25 % of 1,200 attempts in 8 hours, and 95 % of 2,000 attempts of the pool’s other addresses"
    )


def test_back_off_at_one_provider_is_the_providers_trouble():
    assert back_off(["Gmail", "Gmail"]) is None
    assert back_off(["Yahoo", "Gmail"]) == AT_BOTH


def test_the_least_mode_of_its_pools_decides():
    assert [least_mode(modes) for modes in ((), (Mode.ACT,), (Mode.ACT, Mode.WATCH), (Mode.ACT, Mode.OFF))] == [
        Mode.OFF, Mode.ACT, Mode.WATCH, Mode.OFF,
    ]  # fmt: skip


# --- Whatever happens ------------------------------------------------------------------------------------------------

SCOPES = st.frozensets(st.sampled_from(["Gmail", "Yahoo", "GMX"]), max_size=2)
TROUBLES = st.lists(st.builds(Trouble, st.sampled_from(TroubleKind), st.just("wrong"), SCOPES), max_size=2).map(tuple)
# An address at each look: its troubles, whether it sends, and its mode.
LOOKS = st.tuples(
    TROUBLES, st.sampled_from([True] * 9 + [False]), st.sampled_from([Mode.ACT] * 8 + [Mode.WATCH, Mode.OFF])
)
PLATFORM = st.integers(1, 9).flatmap(
    lambda number: st.tuples(
        st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=number, max_size=number),
        st.lists(
            st.tuples(st.sets(st.integers(1, number), min_size=1), st.sampled_from([None, 1, 30, 50])),
            min_size=1,
            max_size=4,
        ),
        st.lists(st.lists(LOOKS, min_size=number, max_size=number), min_size=1, max_size=6),
    )
)


def after(addresses, steps):
    """Return the addresses as they are when the steps are done."""
    found = dict(addresses)
    for step in steps:
        state = None if step.effect is None else State(step.effect, step.scope, step.well_since)
        found[step.address_id] = dataclasses.replace(found[step.address_id], state=state)
    return found


def check_rails(addresses, groups):
    for group in groups:
        members = [addresses[pk] for pk in group.members]
        gone = [each for each in members if each.state is not None and each.state.effect == Effect.DRAINED]
        if not gone:
            continue
        senders = [each for each in members if each.sends]
        weighted = [each for each in senders if each.weight] or senders
        warm = [each for each in weighted if not each.is_warming]
        # Somebody is left, whose weight is not nothing where others have some.
        assert [each for each in warm if each not in gone]
        if group.share is not None:
            assert len(gone) * 100 <= group.share * len(warm)
            assert sum(each.weight for each in gone) * 100 <= group.share * sum(each.weight for each in warm)


@given(PLATFORM)
@settings(max_examples=examples(100), deadline=None)
def test_the_rails_hold_whatever_happens_and_nothing_flaps(platform):
    rows, pools, looks = platform
    addresses = {
        pk: Address(pk, f"192.0.2.{pk}", Mode.ACT, weight, is_warming=is_warming)
        for pk, (weight, is_warming) in enumerate(rows, start=1)
    }
    groups = [Group(f"pool {name}", tuple(sorted(ids)), share) for name, (ids, share) in enumerate(pools)]
    grouped = {pk for group in groups for pk in group.members}
    now = NOW
    for look in looks:
        now += HOUR
        for pk, (troubles, sends, mode) in enumerate(look, start=1):
            addresses[pk] = dataclasses.replace(addresses[pk], troubles=troubles, sends=sends, mode=mode)
        steps = decide(addresses, groups, now)
        for step in steps:
            before, address = addresses[step.address_id].state, addresses[step.address_id]
            # Only what is in trouble is drained, and only by those who said so.
            if step.effect == Effect.DRAINED and (before is None or before.effect != Effect.DRAINED):
                assert address.troubles
                assert (address.mode, address.sends or before is not None) == (Mode.ACT, True)
                assert step.address_id in grouped
            # Each change has its reason; what has none is only noted.
            assert step.reason or (before is not None and before.effect == step.effect)
        addresses = after(addresses, steps)
        check_rails(addresses, groups)
        # Deciding again at once changes nothing.
        assert decide(addresses, groups, now) == []


@given(st.lists(st.sets(st.integers(1, 8), max_size=3), min_size=40, max_size=40))
@settings(max_examples=examples(50), deadline=None)
def test_an_address_is_not_drained_twice_within_the_time_that_it_must_be_well(hours):
    """Troubles that come and go every hour: between two drains of an address lies the whole hold."""
    addresses = pool(8)
    began = {}
    for number, troubled in enumerate(hours):
        now = NOW + number * HOUR
        for pk, address in addresses.items():
            addresses[pk] = dataclasses.replace(address, troubles=(LISTED,) if pk in troubled else ())
        steps = decide(addresses, whole(addresses), now)
        for step in steps:
            before = addresses[step.address_id].state
            was_drained = before is not None and before.effect == Effect.DRAINED
            if step.effect == Effect.DRAINED and not was_drained:
                assert now - began.get(step.address_id, NOW - LONGEST_HOLD) > WELL_FOR
                began[step.address_id] = now
            if step.effect is None:
                assert step.address_id not in troubled
        addresses = after(addresses, steps)
