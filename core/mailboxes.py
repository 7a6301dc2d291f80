"""Which mailbox an e-mail address leads to, as far as its text tells. Pure."""

from django.utils.encoding import punycode

from core.names import fold


def mailbox_of(address: str) -> str:
    """Return the same text for addresses that are probably one mailbox's: to count what is sent there, and for nothing else.

    Whoever wants to flood a mailbox writes `ann+1@`, `ann+2@`; `"a\\nn"@`, in quotes (RFC 5321, 4.1.2); `a.nn@`, which Gmail
    takes for `ann@`; and a domain in two ways. Two people who count as one here wait some minutes at worst.
    """
    local, at, domain = address.strip().rpartition("@")
    if not at or " " in local:
        return fold(address)
    if local[:1] == local[-1:] == '"':
        local = local[1:-1].replace("\\", "")
    local = fold(local).partition("+")[0].replace(".", "")
    try:
        domain = punycode(fold(domain))
    except UnicodeError:
        domain = fold(domain)
    return f"{local}@{domain}"
