"""The second factor: TOTP codes (RFC 6238) and recovery codes.

Whoever has one signs in by password and code, and uses API tokens for HTTP Basic, where no code can be asked for.
"""

import base64
from dataclasses import dataclass

import qrcode
import qrcode.image.svg
from django.db import transaction
from django.db.models import QuerySet
from django_otp import devices_for_user
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from core.audit import Actor, record
from core.errors import Conflict, Fault, Invalid
from core.models import User

RECOVERY_CODES = 10
WRONG_CODE = "is not the code that the app shows now, or it has been used: wait for the next one"


class WrongCode(Invalid):
    """The code is not the current one."""


@dataclass(frozen=True, slots=True)
class Status:
    """Whether the user has a second factor, and how many recovery codes are left."""

    device: TOTPDevice | None
    recovery_codes: int


def confirmed_apps() -> QuerySet[TOTPDevice]:
    """Return the second factors of all users; recovery codes need an app."""
    found: QuerySet[TOTPDevice] = TOTPDevice.objects.filter(confirmed=True)
    return found


def is_set_up(user: User) -> bool:
    """Return whether the user has a second factor."""
    return bool(confirmed_apps().filter(user=user).exists())


def status(user: User) -> Status:
    """Return the user's status. Two queries."""
    device = TOTPDevice.objects.filter(user=user, confirmed=True).first()
    return Status(device, StaticToken.objects.filter(device__user=user, device__confirmed=True).count())


@transaction.atomic
def begin(user: User) -> TOTPDevice:
    """Return a new secret for the app, which waits for its first code; one that was shown earlier no longer works."""
    User.objects.select_for_update().get(pk=user.pk)
    if TOTPDevice.objects.filter(user=user, confirmed=True).exists():
        raise Conflict("There is a second factor already")
    # Whoever saw an earlier one, in a session that was stolen or over a shoulder, would have this factor as well.
    TOTPDevice.objects.filter(user=user, confirmed=False).delete()
    return TOTPDevice.objects.create(user=user, name="Authenticator app", confirmed=False)


def begun(user: User, number: int | None) -> TOTPDevice | None:
    """Return the secret with this primary key while it waits for its first code."""
    return _waiting(user, number).first()


@transaction.atomic
def confirm(*, user: User, number: int | None, code: str, actor: Actor) -> tuple[TOTPDevice, list[str]]:
    """Enable the second factor that `begin` returned with a first correct code; `number` is its primary key.

    Returns the device and the recovery codes, which are shown once. Raises Conflict where another was begun since.
    """
    device = _waiting(user, number).select_for_update().first()
    if device is None:
        raise Conflict("There is nothing to confirm: start again")
    if not device.verify_token(cleaned(code)):
        raise WrongCode(Fault("code", WRONG_CODE))
    device.confirmed = True
    device.save(update_fields=["confirmed"])
    record(actor=actor, act="user.second_factor_added", target=user)
    return device, _new_codes(user)


@transaction.atomic
def renew_recovery_codes(*, user: User, actor: Actor) -> list[str]:
    """Make new recovery codes; the old ones no longer work."""
    record(actor=actor, act="user.recovery_codes_renewed", target=user)
    return _new_codes(user)


@transaction.atomic
def remove(*, user: User, actor: Actor) -> None:
    """Disable the second factor."""
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    record(actor=actor, act="user.second_factor_removed", target=user)


@transaction.atomic
def verify(user: User, code: str) -> Device | None:
    """Return the device with this code, or None. A code works once; guesses are slowed down."""
    # Must be called outside a transaction that is rolled back on failure: a failure is counted by the device.
    text = cleaned(code)
    wanted: type[Device] = TOTPDevice if len(text) == 6 and text.isdigit() else StaticDevice
    for device in devices_for_user(user, confirmed=True, for_verify=True):
        if isinstance(device, wanted) and device.verify_token(text):
            return device
    return None


def drawing(device: TOTPDevice) -> str:
    """Return the QR code of the app's secret as SVG markup, without anything of the caller's in it."""
    image = qrcode.make(device.config_url, image_factory=qrcode.image.svg.SvgPathImage, border=1)
    return str(image.to_string(encoding="unicode"))


def secret(device: TOTPDevice) -> str:
    """Return the app's secret in groups of four, for typing."""
    text = base64.b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def cleaned(code: str) -> str:
    """Return a typed code without spaces and hyphens."""
    return "".join(sign for sign in code.lower() if sign.isalnum())


def _waiting(user: User, number: int | None) -> QuerySet[TOTPDevice]:
    found: QuerySet[TOTPDevice] = TOTPDevice.objects.filter(pk=number, user=user, confirmed=False)
    return found


def _new_codes(user: User) -> list[str]:
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name="Recovery codes", confirmed=True)
    codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=code) for code in codes)
    return codes
