"""The services and settings that all Postfix instances of a node share.

What belongs to the machine (queue, log, certificate, login socket) is added there by the agent.
"""

from collections.abc import Iterable, Mapping

from nodes.policy.postfix_tenants import RESTRICTIONS
from nodes.policy.postfix_transports import WAITING

# The agent puts its `--submission` in the place of this address.
SUBMISSION = (
    "127.0.0.1:587 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes"
    " -o smtpd_relay_restrictions=$sluice_restrictions -o smtpd_sender_restrictions=$sluice_restrictions"
    " -o smtpd_client_restrictions= -o smtpd_authorized_xforward_hosts="
)
TO_POOL = "to_pool unix - - n - 50 smtp -o smtp_send_xforward_command=yes -o smtp_tls_security_level=none"

SERVICES = (
    "anvil unix - - n - 1 anvil",
    "bounce unix - - n - 0 bounce",
    "cleanup unix n - n - 0 cleanup",
    "defer unix - - n - 0 bounce",
    "error unix - - n - - error",
    "flush unix n - n 1000? 0 flush",
    "pickup unix n - n 60 1 pickup",
    "postlog unix-dgram n - n - 1 postlogd",
    "proxymap unix - - n - - proxymap",
    "qmgr unix n - n 300 1 qmgr",
    "retry unix - - n - - error",
    "rewrite unix - - n - - trivial-rewrite",
    "scache unix - - n - 1 scache",
    "showq unix n - n - - showq",
    "tlsmgr unix - - n 1000? 1 tlsmgr",
    "trace unix - - n - 0 bounce",
    "verify unix - - n - 1 verify",
    f"{WAITING} unix - - n - - smtp",
)

# Mail is only relayed: no local users, no aliases.
SETTINGS = {
    "alias_database": "",
    "alias_maps": "",
    "biff": "no",
    "compatibility_level": "3.6",
    "defer_transports": WAITING,
    # The year of a log line, and its order, are read from the queue id.
    "enable_long_queue_ids": "yes",
    "inet_interfaces": "127.0.0.1",
    "local_recipient_maps": "",
    "local_transport": "error:5.1.1 no local delivery",
    "message_size_limit": "52428800",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "parent_domain_matches_subdomains": "",
    "recipient_delimiter": "+",
    "relayhost": "",
    "smtp_tls_security_level": "may",
    "smtpd_client_restrictions": "permit_mynetworks, reject",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_sasl_path": "private/sluice-auth",
    "smtpd_sasl_type": "dovecot",
    "smtputf8_enable": "yes",
}


def inner_listener(address: str) -> str:
    """Return the service by which a pool's instance accepts mail from the front instance."""
    return f"{address} inet n - n - - smtpd -o smtpd_authorized_xforward_hosts=127.0.0.0/8"


def tenant_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the instance that accepts mail from clients."""
    return {**settings, "sluice_restrictions": RESTRICTIONS}


def main_cf(*parts: Mapping[str, str]) -> str:
    """Return main.cf: later parts win, one parameter a line, by name."""
    merged: dict[str, str] = {}
    for part in parts:
        merged.update(part)
    return "".join(f"{name} = {merged[name]}".rstrip() + "\n" for name in sorted(merged))


def master_cf(services: Iterable[str]) -> str:
    """Return master.cf, one service a line."""
    return "".join(f"{line}\n" for line in services)
