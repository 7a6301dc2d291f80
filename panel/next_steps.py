"""What comes after a record is added, by the kind of record: a sentence on the page that adds one."""

NEXT = {
    "servers.organization": (
        "Its page comes next: grant it IP pools, add its people and its first server. “New customer” above the list does all"
        " in one step."
    ),
    "servers.server": "Its page comes next, with an API key and an SMTP key that were created for it: add its domains there.",
    "servers.credential": "The key is shown once on the next page, ready to be copied.",
    "servers.domain": "Its DKIM key is created now. The next page shows the records to publish.",
    "servers.route": "Mail to the route's name is handled this way from the next revision of the nodes on.",
    "servers.webhook": "It is called for events from now on. Its page shows each delivery and what the receiver answered.",
    "servers.ippoolrule": "Its page shows the order of evaluation: the first rule that matches decides.",
    "servers.invitation": "The person accepts or declines it. Until then it gives no rights, and asks nothing of them.",
    "servers.membership": "A person without an account gets one; the next page shows the password, or an e-mail is sent.",
    "servers.organizationpool": "The organization's servers may choose the pool from now on.",
    "suppressions.suppression": "Messages to these recipients are stopped at once. Many are imported as a file, from the list.",
    "ippools.ippool": "Its page comes next: add addresses there, with a warm-up plan, and grant it to organizations.",
    "ippools.ipaddress": (
        "Its page comes next: warm it up there, and check its DNS identity. It sends once it is in a pool; a pool's page adds"
        " many addresses at once."
    ),
    "ippools.relayserver": "Routing rules and redirects can name it from now on.",
    "ippools.routingrule": "Redirects and servers can name it from now on.",
    "ippools.blocklist": "Every address is looked up within the interval. A listing is an alert.",
    "ippools.addresscap": "It is in effect at once, within the limits of the address's rules, until its end.",
    "ippools.warmup": "Its caps begin within the hour; its page shows plan, cap and mail of each day.",
    "throttling.throttlingtemplate": "Addresses can use it from now on: choose it on an address's page.",
    "throttling.throttleprogram": "Throttling rules can name it from now on: choose it in a rule of a template or an address.",
    "throttling.warmupplan": "Addresses can be warmed up by it from now on.",
    "nodes.node": "The next page shows the node's key once: its agent signs in with it.",
    "core.user": "The next page is the account's. Memberships decide which organizations it sees.",
    "core.apitoken": "The token is shown once on the next page, ready to be copied.",
    "stats.ingesttoken": "The token is shown once on the next page, ready to be copied.",
    "stats.eventsource": "The token and the URL to report to are shown once on the next page.",
    "stats.replyrule": "Replies that come from now on are classified by it; earlier counts stay.",
    "alerts.channel": "Alerts are sent by it from now on. Its page sends a test message.",
}
