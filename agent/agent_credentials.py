"""Who may submit mail, by the digests and networks of the policy's overlay. Python 3.9, standard library only."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import ipaddress


class Logins:
    """Decides by the digests of an overlay (the policy document's `overlay`)."""

    def __init__(self, overlay):
        self._digests = {}
        for each in overlay.get("credentials") or ():
            self._digests.setdefault(each["server"], []).append((each["sha256"], _moment(each.get("expires_at"))))
        self._suspended = {each["server"]: _moment(each.get("until")) for each in overlay.get("suspended") or ()}
        networks = []
        for each in overlay.get("networks") or ():
            network = ipaddress.ip_network(each["network"])
            networks.append(
                (-network.prefixlen, each.get("id", 0), network, each["server"], _moment(each.get("expires_at")))
            )
        self._networks = sorted(networks, key=lambda each: each[:2])

    def accepts(self, user, password, now):
        """Tell whether this is the password of an SMTP credential of the server `user`, which may send now."""
        given = hashlib.sha256(password).hexdigest()
        fits = False
        for digest, expires in self._digests.get(user, ()):
            fits |= hmac.compare_digest(given, digest) and (expires is None or now < expires)
        return fits and not self.is_suspended(user, now)

    def is_suspended(self, server, now):
        """Tell whether the server may not send now."""
        if server not in self._suspended:
            return False
        until = self._suspended[server]
        return until is None or now < until

    def of_client(self, address, now):
        """Return the server of the narrowest network with the client's address; None: a password is required."""
        try:
            client = ipaddress.ip_address(address)
        except ValueError:
            return None
        for _, _, network, server, expires in self._networks:
            if client in network and (expires is None or now < expires):
                return server
        return None

    def networks(self, now):
        """Return [(network, server)] that hold now, the narrowest first, each network once."""
        found = {}
        for _, _, network, server, expires in self._networks:
            if expires is None or now < expires:
                found.setdefault(network, server)
        return list(found.items())

    def next_change(self, now):
        """Return when a network stops, as seconds since 1970; None: never."""
        return min((expires for *_, expires in self._networks if expires and expires > now), default=None)


def _moment(text):
    if not text:
        return None
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
