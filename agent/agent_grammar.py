"""The grammar of Postfix files that the agent accepts: a pattern for every parameter and every service.

`postfix check` lets pass what stops all mail (a delay that is no number, a transport that is not there, a missing map), so this
reads the files by the grammar of the compiler that wrote them. Python 3.9, standard library only.
"""

from __future__ import annotations

import ipaddress
import re

PATH = re.compile(
    r"(?P<folder>front|pool-\d{1,12})/(?P<name>main\.cf|master\.cf|networks|tenants|c-[0-9a-f]{12}|rules_[0-9_]+-(?:from|to))"
)
TRANSPORT = r"a\d{1,12}-r\d{1,12}(?:-\d{1,3})?"
ADDRESS = r"(?:\d{1,3}\.){3}\d{1,3}"
HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
CLASS = r"(?:pool_\d{1,12}|rules_[0-9_]+)"
MAP = r"lmdb:\$config_directory/[A-Za-z0-9_.-]+"
INNER = rf"to_pool:\[{ADDRESS}\]:\d{{1,5}}"
RANDMAP = rf"randmap:\{{(?:(?:{TRANSPORT}|waiting):)(?:,(?:{TRANSPORT}|waiting):)*\}}"
PIPEMAP = rf"pipemap:\{{lmdb:\$config_directory/c-[0-9a-f]{{12}}, {RANDMAP}\}}"
STEP = (
    rf"(?:check_(?:sasl|sender|recipient)_access {MAP}|check_client_access cidr:\$config_directory/networks"
    rf"|check_client_access static:\{{(?:FILTER {INNER}|REJECT 5\.7\.1 [A-Za-z ]+)\}}|{CLASS}|permit|reject)"
)
STEPS = rf"{STEP}(?:, {STEP})*"

FIXED = {
    "alias_database": "",
    "alias_maps": "",
    "biff": "no",
    "compatibility_level": r"3\.\d{1,2}",
    "default_transport": rf"error:[ -~]+|retry:[ -~]+|{INNER}",
    "defer_transports": "waiting",
    "enable_long_queue_ids": "yes",
    "inet_interfaces": r"127\.0\.0\.1",
    "local_recipient_maps": "",
    "local_transport": r"error:[ -~]+",
    "message_size_limit": r"\d{1,12}",
    "mydestination": "",
    "mynetworks": r"127\.0\.0\.0/8",
    "parent_domain_matches_subdomains": "",
    "recipient_delimiter": r"\+",
    "relayhost": "",
    "sender_dependent_default_transport_maps": RANDMAP,
    "service_throttle_time": r"\d{1,3}s",
    "sluice_restrictions": STEPS,
    "smtp_tls_security_level": "may|none",
    "smtpd_client_restrictions": "permit_mynetworks, reject",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_restriction_classes": rf"(?:{CLASS}(?:, {CLASS})*)?",
    "smtpd_sasl_path": "private/sluice-auth",
    "smtpd_sasl_type": "dovecot",
    "smtputf8_enable": "yes",
    "syslog_name": r"sluice-(?:front|pool-\d{1,12})",
    "to_pool_destination_recipient_limit": "1",
    "transport_maps": rf"(?:{PIPEMAP}(?:, {PIPEMAP})*)?",
}
OF_A_TRANSPORT = {
    "destination_concurrency_failed_cohort_limit": r"\d{1,6}",
    "destination_concurrency_limit": r"\d{1,6}",
    "destination_rate_delay": r"[1-9]\d{0,4}s",
    "destination_recipient_limit": "1",
    "initial_destination_concurrency": r"\d{1,6}",
    "transport_rate_delay": r"[1-9]\d{0,4}s",
}
EVERYWHERE = {
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
    "waiting unix - - n - - smtp",
}
TO_POOL = "to_pool unix - - n - 50 smtp -o smtp_send_xforward_command=yes -o smtp_tls_security_level=none"
SUBMISSION = (
    "127.0.0.1:587 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes"
    " -o smtpd_relay_restrictions=$sluice_restrictions -o smtpd_sender_restrictions=$sluice_restrictions"
    " -o smtpd_client_restrictions= -o smtpd_authorized_xforward_hosts="
)
LISTENER = re.compile(rf"{ADDRESS}:\d{{1,5}} inet n - n - - smtpd -o smtpd_authorized_xforward_hosts=127\.0\.0\.0/8")
WAY_OUT = re.compile(
    rf"(?P<name>{TRANSPORT}) unix - - n - (?P<processes>\d{{1,6}}) smtp -o syslog_name=sluice-(?P<tag>a\d+-r\d+)"
    rf" -o smtp_bind_address=(?P<ip>{ADDRESS})(?: -o smtp_bind_address6=(?P<ip6>[0-9a-f:]+)| -o inet_protocols=ipv4)"
    rf" -o smtp_bind_address_enforce=yes -o smtp_helo_name={HOST} -o smtp_connection_cache_on_demand=no"
)
DOMAIN_KEY = re.compile(r"\.?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")
# Which letters are printable depends on the version of Python: so it is said which are not.
KEY = re.compile(r"[^\x00-\x20\x7f\"\\#][^\x00-\x20\x7f\"\\]*")
VERDICT = re.compile(rf"{CLASS}|REJECT [ -~]+|450 4\.7\.1 [ -~]+")


class InvalidPolicy(Exception):
    """The files are not used, and why."""


def check_document(document, applied):
    """Raise InvalidPolicy for the policy of another node or MTA, or one older than the applied one (None: none is)."""
    if not applied:
        return
    if (document["node"], document["kind"]) != (applied["node"], applied["kind"]):
        raise InvalidPolicy(
            f"this is the policy of {document['node']} ({document['kind']}),"
            f" and this machine is {applied['node']} ({applied['kind']})"
        )
    ours = applied["revision"], applied["overlay"]["number"]
    theirs = document["revision"], document["overlay"]["number"]
    if theirs < ours:
        older, newer = ("revision {}, overlay {}".format(*each) for each in (theirs, ours))
        raise InvalidPolicy(f"{older} is older than {newer}, which is applied")


def check(files, sources, present):
    """Raise InvalidPolicy where the files are not what the compiler writes; `present` are the machine's addresses."""
    folders = {}
    for path, text in files.items():
        found = PATH.fullmatch(path)
        if not found:
            raise InvalidPolicy(f"{path} is not a file of a Postfix policy")
        folders.setdefault(found["folder"], {})[found["name"]] = text
    if not folders:
        raise InvalidPolicy("the policy has no files")
    listeners = {}
    for folder, named in sorted(folders.items()):
        _instance(folder, named, sources, present, listeners)


def _instance(folder, files, sources, present, listeners):
    for name in ("main.cf", "master.cf"):
        if name not in files:
            raise InvalidPolicy(f"{folder}/{name} is missing")
    transports = _master(folder, files["master.cf"], sources, present, listeners)
    settings = _main(folder, files["main.cf"], transports)
    if settings.get("syslog_name") != f"sluice-{folder}":
        raise InvalidPolicy(f"{folder}/main.cf has another instance's syslog_name")
    for name, value in settings.items():
        _names(f"{folder}/main.cf: {name}", value, files, transports)
    declared = _classes(folder, settings)
    for name, text in files.items():
        if name not in ("main.cf", "master.cf", "networks"):
            _map(f"{folder}/{name}", name, text, declared)


def _names(where, value, files, transports):
    """See that the maps and transports which a value names are there."""
    for used in re.findall(r"(?:lmdb|cidr):\$config_directory/([A-Za-z0-9_.-]+)", value):
        if used not in files:
            raise InvalidPolicy(f"{where} names the map {used}, which is missing")
    if not value.startswith(("error:", "retry:")):
        for used in re.findall(rf"({TRANSPORT}|waiting|to_pool):", value):
            if used not in transports:
                raise InvalidPolicy(f"{where} names the transport {used}, which is not in master.cf")


def _classes(folder, settings):
    """Return the restriction classes; each is declared, and each that is used is there."""
    declared = set(settings.get("smtpd_restriction_classes", "").split(", ")) - {""}
    used = {
        each
        for name, value in settings.items()
        if name in declared or name == "sluice_restrictions"
        for each in re.findall(rf"(?:^|, )({CLASS})(?=,|$)", value)
    }
    for name in sorted((declared | used) - (declared & set(settings))):
        raise InvalidPolicy(f"{folder}/main.cf: the class {name} is missing")
    return declared


def _lines(text):
    return [line for line in text.split("\n") if line and not line.startswith("#")]


def _main(folder, text, transports):
    settings = {}
    for line in _lines(text):
        name, separator, value = line.partition(" =")
        value = value[1:] if value.startswith(" ") else value
        if not separator or name in settings or line[0] in " \t":
            raise InvalidPolicy(f"{folder}/main.cf: {line[:80]!r} is not a parameter, or occurs twice")
        pattern = FIXED.get(name) if name in FIXED else _pattern(folder, name, transports)
        if not re.fullmatch(pattern, value):
            raise InvalidPolicy(f"{folder}/main.cf: {name} cannot be {value[:60]!r}")
        settings[name] = value
    for name in settings:
        # With one recipient for each delivery the destination would be the recipient: no limit at all.
        if name.endswith("_destination_rate_delay") and name.split("_")[0] + "_destination_recipient_limit" in settings:
            raise InvalidPolicy(f"{folder}/main.cf: {name} would not limit anything with a recipient limit")
    return settings


def _pattern(folder, name, transports):
    """Return what a parameter that is named for something may be."""
    if re.fullmatch(CLASS, name):
        return STEPS
    transport, _, word = name.partition("_")
    if not re.fullmatch(TRANSPORT, transport) or word not in OF_A_TRANSPORT:
        raise InvalidPolicy(f"{folder}/main.cf: {name} is not a parameter of a policy")
    if transport not in transports:
        raise InvalidPolicy(f"{folder}/main.cf: {name} belongs to a transport that is not in master.cf")
    return OF_A_TRANSPORT[word]


def _master(folder, text, sources, present, listeners):
    names = set()
    for line in _lines(text):
        name = line.split(" ", 1)[0]
        if name in names:
            raise InvalidPolicy(f"{folder}/master.cf: {name} occurs twice")
        names.add(name)
        if line == SUBMISSION or LISTENER.fullmatch(line):
            if listeners.setdefault(name, folder) != folder:
                raise InvalidPolicy(f"{name} is listened on by {listeners[name]} and {folder}")
            continue
        if line in EVERYWHERE or (line == TO_POOL and folder == "front"):
            continue
        _way_out(folder, name, line, sources, present)
    missing = {line.split(" ", 1)[0] for line in EVERYWHERE} - names
    if missing:
        raise InvalidPolicy(f"{folder}/master.cf: the service {sorted(missing)[0]} is missing")
    return names


def _way_out(folder, name, line, sources, present):
    found = WAY_OUT.fullmatch(line)
    if not found:
        raise InvalidPolicy(f"{folder}/master.cf: {line[:80]!r} is not a service of a policy")
    source = sources.get(found["tag"])
    is_of_tag = name == found["tag"] or name.startswith(found["tag"] + "-")
    if source is None or source.get("ip") != found["ip"] or not is_of_tag:
        raise InvalidPolicy(
            f"{folder}/master.cf: {name} sends by {found['ip']}, and the policy's sources say otherwise"
        )
    for address in (found["ip"], found["ip6"]):
        if address and ipaddress.ip_address(address) not in present:
            raise InvalidPolicy(f"the address {address} is not on this machine")


def _map(path, name, text, declared):
    for line in _lines(text):
        key, _, value = line.partition(" ")
        if name.startswith("c-"):
            fine = DOMAIN_KEY.fullmatch(key) and value == name
        else:
            fine = (
                KEY.fullmatch(key)
                and VERDICT.fullmatch(value)
                and (value in declared or value.startswith(("REJECT ", "450 ")))
            )
        if not fine:
            raise InvalidPolicy(f"{path}: {line[:80]!r} is not a valid line of this map")
