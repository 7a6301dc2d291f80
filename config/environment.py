"""Strict reading of environment variables: an invalid value ends the process with a sentence that names the variable.

django-environ reads every variable; what it would guess (`DEBUG=flase` is False) is refused here.
"""

import ipaddress
import sys
from typing import Any, NoReturn

import environ

from ippools.values import hostname_faults, is_read_as_address

TRUE, FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


class _Environment(environ.Env):
    """django-environ's reader, without blanks around values; one that is set to nothing counts as not set.

    django-environ 0.14 takes a value that begins with `$` for the name of another variable, and a secret may begin so. This
    can go when that can be switched off.
    """

    def get_value(self, var: str, cast: Any = None, default: Any = None, parse_default: bool = False) -> Any:  # noqa: FBT001, FBT002 - django-environ's signature
        value = self.ENVIRON.get(var, "").strip()
        return self.parse_value(value, cast) if value else default


_ENVIRONMENT = _Environment()


def end(sentences: list[str]) -> NoReturn:
    """End the process with the reasons on stderr. An exception could be caught."""
    sys.exit("\n".join(["Sluice does not start:", *(f"- {sentence}" for sentence in sentences)]))


def text(name: str, default: str = "") -> str:
    """Return the stripped variable; an empty one counts as not set."""
    return str(_ENVIRONMENT.str(name, default=default))


def host_name(name: str, default: str) -> str:
    """Return a host name."""
    value = text(name, default)
    faults = hostname_faults(value)
    if is_read_as_address(value):
        faults.append("must not be an IP address")
    if faults:
        end([f"{name} {faults[0]}, not {value!r}."])
    return value


def words(name: str, default: list[str] | None = None) -> list[str]:
    """Return the parts between commas."""
    parts = (part.strip() for part in _ENVIRONMENT.list(name, default=[]))
    return [part for part in parts if part] or list(default or [])


def networks(name: str) -> list[str]:
    """Return the IP networks between commas."""
    values = words(name)
    for value in values:
        try:
            ipaddress.ip_network(value)
        except ValueError:
            end([f"{name}: {value} is no IP address or network (such as 10.0.0.0/8)."])
    return values


def number(name: str, default: int, *, least: int = 0) -> int:
    """Return a whole number."""
    value = text(name, str(default))
    if not (value.isascii() and value.isdigit() and int(value) >= least):
        end([f"{name} must be a whole number of at least {least}, not {value!r}."])
    return int(value)


def choice(name: str, choices: list[str], *, default: str) -> str:
    """Return one of these words."""
    value = text(name, default)
    if value not in choices:
        end([f"{name} must be {' or '.join(choices)}, not {value!r}."])
    return value


def flag(name: str, *, default: bool) -> bool:
    """Return true or false; "flase" is neither."""
    value = text(name).lower()
    if value and value not in TRUE | FALSE:
        end([f"{name} must be true or false, not {value!r}."])
    return value in TRUE if value else default


def database(name: str) -> dict[str, Any]:
    """Return the settings in a database's URL. An invalid one is not echoed, because it has a password."""
    try:
        found = dict(_ENVIRONMENT.db_url(name))
    except (ValueError, KeyError, environ.ImproperlyConfigured):
        end(
            [
                (
                    f"{name} cannot be read; it looks like postgres://user:password@host:5432/name, with special "
                    "characters percent-encoded."
                )
            ]
        )
    if "," in found.get("HOST", ""):
        # django-environ 0.14 leaves the brackets of an IPv6 address on where there are several hosts.
        found["HOST"] = ",".join(host.strip("[]") for host in found["HOST"].split(","))
    return found
