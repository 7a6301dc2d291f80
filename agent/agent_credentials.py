"""Who may submit mail, by the digests and networks of the policy's overlay. Python 3.9, standard library only."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import socket


class Logins:
    """Decides by the digests of an overlay (the policy document's `overlay`)."""

    def __init__(self, overlay):
        self._digests = {}
        for each in overlay.get("credentials") or ():
            self._digests.setdefault(each["server"], []).append((each["sha256"], _moment(each.get("expires_at"))))
        self._suspended = {each["server"]: _moment(each.get("until")) for each in overlay.get("suspended") or ()}
        self._networks = Networks(overlay)

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
        return self._networks.of(address, now)

    def networks(self, now):
        """Return [(network, server)] that hold now, the narrowest first, each network once."""
        return self._networks.holding(now)


class Networks:
    """The networks of clients, found by their prefixes.

    An organization can have a hundred thousand, and every other client waits while one is looked up.
    """

    def __init__(self, overlay):
        # {bytes of an address: {length of the prefix: {prefix: [(id, network, server, end)]}}}, the narrowest first.
        self._found = {}
        for each in overlay.get("networks") or ():
            address, _, length = each["network"].partition("/")
            packed = _packed(address)
            bits = int(length or 8 * len(packed))
            prefixes = self._found.setdefault(len(packed), {}).setdefault(bits, {})
            entry = (each.get("id", 0), each["network"], each["server"], _moment(each.get("expires_at")))
            prefixes.setdefault(_prefix(packed, bits), []).append(entry)
        for size, lengths in self._found.items():
            self._found[size] = {length: lengths[length] for length in sorted(lengths, reverse=True)}
            for prefixes in lengths.values():
                for entries in prefixes.values():
                    entries.sort(key=lambda each: each[0])

    def of(self, address, now):
        """Return the server of the narrowest network that contains the address, or None."""
        try:
            packed = _packed(address.partition("%")[0])
        except (OSError, ValueError):
            return None
        for length, prefixes in self._found.get(len(packed), {}).items():
            for _, _, server, end in prefixes.get(_prefix(packed, length), ()):
                if end is None or now < end:
                    return server
        return None

    def holding(self, now):
        """Return [(network, server)] that hold now, the narrowest first, each network once."""
        found = []
        for lengths in self._found.values():
            for length, prefixes in lengths.items():
                for entries in prefixes.values():
                    first = next((each for each in entries if each[3] is None or now < each[3]), None)
                    if first is not None:
                        found.append((-length, *first[:3]))
        return [(network, server) for _, _, network, server in sorted(found)]


# A clock that is corrected by less is nothing to apply the policy again for.
SECONDS_SET_BACK = 10


class Ends:
    """Tells when a network of a policy ends, which its maps still have."""

    def __init__(self):
        self._overlay, self._left, self._now = None, [], 0.0

    def passed(self, overlay, now):
        """Tell whether one has ended since the last call with this overlay, or holds again because the clock was set back."""
        is_set_back = now < self._now - SECONDS_SET_BACK
        self._now = now if is_set_back else max(self._now, now)
        if overlay is not self._overlay or is_set_back:
            ends = (_moment(each.get("expires_at")) for each in overlay.get("networks") or ())
            self._overlay, self._left = overlay, sorted((end for end in ends if end and end > now), reverse=True)
        is_passed = bool(self._left) and now >= self._left[-1]
        while self._left and now >= self._left[-1]:
            self._left.pop()
        return is_passed or (is_set_back and bool(self._left))


def _packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _prefix(packed, length):
    return int.from_bytes(packed, "big") >> (8 * len(packed) - length)


def _moment(text):
    if not text:
        return None
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
