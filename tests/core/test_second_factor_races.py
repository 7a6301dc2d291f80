"""A code of the second factor works once, also where it is given several times at the same moment."""

import functools

import pytest
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from core import second_factor
from core.audit import Actor
from core.models import User
from tests.races import at_once, in_the_open

ACTOR = Actor.of_command("test")
AT_ONCE = 6


def code_of(device, later=0):
    return f"{TOTP(device.bin_key, device.step, device.t0, device.digits, later).token():06d}"


@in_the_open
@pytest.mark.storage
def test_a_code_that_is_given_at_once_works_once():
    user = User.objects.create_user("ann")
    begun = second_factor.begin(user)
    device, recovery_codes = second_factor.confirm(user=user, number=begun.pk, code=code_of(begun), actor=ACTOR)
    # The next step's code is taken too, as clocks differ.
    for code in (*recovery_codes[:5], code_of(device, later=1)):
        for model in (StaticDevice, TOTPDevice):
            # Those who came too late have given a wrong code, after which the device takes none for some seconds.
            model.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
        found = at_once(*[functools.partial(second_factor.verify, user, code)] * AT_ONCE)
        assert [each for each in found if isinstance(each, Exception)] == []
        assert sum(each is not None for each in found) == 1, code
