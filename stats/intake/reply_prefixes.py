"""The text that an MTA writes around the reply that it received: which host replied, and to which command. Pure.

It is removed before a reply is classified. Otherwise "in reply to end of DATA command" would match rules on commands, and
the same reply would have one signature for each MTA that passes it on. Hosts and addresses
are masked already.
"""

import re

_WHO = r"\S{1,80}(?: ?\[?<ip>\]?:?(?:<n>)?)?"
_STAGE = r"(?:pipelined |sending )?(?:initial connection|RCPT|MAIL|HELO|EHLO|STARTTLS|DATA|end of data|data block)"
_OF_WHAT = r"(?: TO| FROM)?:?(?: ?<address>)?(?: SIZE=\S{1,12})?"
# A text that must occur, and the pattern that is removed then.
_PREFIXES = {
    # Postfix
    " said:": rf"\bhost {_WHO} said:",
    "refused to talk": rf"\bhost {_WHO} refused to talk to me:",
    "(in reply to": r"\(in reply to [A-Z ]{1,40}command\)",
    # Exim
    "smtp error from": rf"\bSMTP error from remote (?:mail )?server after {_STAGE}:?{_OF_WHAT}:?(?: host {_WHO})?:?",
    # qmail
    "like recipient": r"<ip> does not like recipient\.?",
    "sent the message": r"<ip> failed after I sent the message\.?",
    "was rejected": r"(?:\bConnected to )?<ip> but (?:sender|my name) was rejected\.?",
    "remote host said": r"\bRemote host said:",
    "giving up on": r"\bGiving up on <ip>\.?",
    # Sendmail
    "talking to": rf"\.\.\. while talking to {_WHO}",
    ">>>": r">>> [A-Z]{1,10}(?: TO| FROM)?:? ?(?:<address>)?",
    "<<<": r"<<<",
    # Exchange, Gmail, IronPort, delivery reports
    "server returned": r"\bRemote server returned '",
    "gave this": r"\bgave this error:",
    "#": r"#< ?#?|> ?#SMTP#",
    "attempts:": r"\(delivery attempts: \S{1,6}",
    "diagnostic": r"\bDiagnostic-Code:",
    "smtp;": r"\bsmtp;",
    "the mail": r"\bThe mail system\b",
}
_COMPILED = {hint: re.compile(wrapping, re.IGNORECASE) for hint, wrapping in _PREFIXES.items()}


def unwrapped(skeleton: str) -> str:
    """Return the masked text without the MTA's additions."""
    lower = skeleton.lower()
    for hint, wrapping in _COMPILED.items():
        if hint in lower:
            skeleton = wrapping.sub(" ", skeleton)
    return skeleton
