'use strict'
// Asks the plug-in's policy questions under an overlay, and prints the answers as one JSON object.
const path = require('node:path')
const { Policy } = require(path.join(process.argv[2], 'sluice_policy.js'))

const NOW = Date.parse('2026-07-27T10:30:00Z')
const flat = (value) => ({ exact: {}, below: {}, default: value })
const source = (ip) => ({ ip, ipv6: null, helo: 'h.example', limits: 'l1' })
const tenant = (more) => ({ server: 'u', pool: 'p1', rules: null, refuse: null, send_limits: { hour: 5, day: null, month: null }, ...more })
const DOCUMENT = {
    format: 1,
    limit: [{ rule: 0, connections: 0, per_hour: 0 }],
    limits: { l1: flat(0) },
    sources: { a1: source('192.0.2.1'), a2: source('192.0.2.2'), a3: source('192.0.2.3') },
    draws: { d1: [['a1', 100, []], ['a2', 50, []], ['a3', 0, []]], d2: [['a1', 100, []]] },
    pools: { p1: { name: 'Both', ...flat('d1') }, p2: { name: 'Alone', ...flat('d2') } },
    rules: {},
    tenants: { 'acme/mail': tenant({}), 'acme/full': tenant({}), 'acme/held': tenant({}), 'acme/none': tenant({ pool: null, refuse: 'This server has no IP pool' }) },
}
const policy = (overlay) => new Policy(DOCUMENT, overlay)
const drawn = (overlay, pool, domain, now = NOW) => policy(overlay).candidates(pool, domain, now).map(([tag]) => tag)

const rests = { resting: [{ source: 'a1', domains: [], until: '2026-07-27T11:00:00Z' }] }
const some = { resting: [{ source: 'a1', domains: ['yahoo.com', '*.yahoo.com'], until: null }] }
const both = { resting: [{ source: 'a1', domains: ['[*.]b.example'], until: null }] }
const found = {
    all: drawn({}, 'p1', 'x.example'),
    rests: drawn(rests, 'p1', 'x.example'),
    rests_alone: drawn(rests, 'p2', 'x.example'),
    rests_and_paused: drawn({ ...rests, paused: ['a2'] }, 'p1', 'x.example'),
    only_it_is_left: drawn({ ...rests, paused: ['a2', 'a3'] }, 'p1', 'x.example'),
    next_hour: drawn(rests, 'p2', 'x.example', NOW + 1800e3),
    at_yahoo: drawn(some, 'p1', 'yahoo.com'),
    below_yahoo: drawn(some, 'p1', 'mail.yahoo.com'),
    elsewhere: drawn(some, 'p1', 'x.example'),
    both_ways: ['b.example', 'a.b.example', 'c.a.b.example', 'ab.example', 'example', ']b.example'].map((domain) => drawn(both, 'p1', domain).includes('a1')),
}
const waits = policy({
    suspended: [{ server: 'acme/held', until: null }],
    deferred: [{ server: 'acme/full', until: '2026-07-27T11:00:00Z', reason: 'Its limit is reached' }],
})
found.deferrals = ['acme/mail', 'acme/full', 'acme/held'].map((name) => waits.deferral(name, NOW))
found.later = waits.deferral('acme/full', NOW + 1800e3)
found.refusals = ['acme/mail', 'acme/held', 'acme/none', 'globex/mail'].map((name) => waits.refusal(name, NOW))
found.limits = [waits.send_limits('acme/mail'), waits.send_limits('globex/mail')]
const renamed = new Policy({ ...DOCUMENT, tenants: { 'acme-inc/mail': tenant({ server: 'u1' }), 'acme/mail': tenant({ server: 'u2', pool: 'p2' }) } }, {})
const told = [
    { sluice_server: 'acme/mail', sluice_uuid: 'u1' },
    { sluice_server: 'acme/mail', sluice_uuid: 'u2' },
    { sluice_server: 'acme/mail', sluice_uuid: 'u3' },
    { sluice_server: 'acme/mail' },
    {},
]
found.names = told.map((notes) => renamed.name_of(notes) ?? null)
found.pools = found.names.slice(0, 3).map((name) => renamed.pool(name, '', 'x@x.example'))
found.uuids = ['acme-inc/mail', 'acme/mail', 'acme/none', 'constructor'].map((name) => renamed.uuid_of(name) ?? null)
const networks = [
    { id: 3, server: 'a/wide', network: '192.0.2.0/24', expires_at: null },
    { id: 2, server: 'b/narrow', network: '192.0.2.128/25', expires_at: null },
    { id: 1, server: 'c/older', network: '192.0.2.0/24', expires_at: null },
    { id: 4, server: 'd/six', network: '2001:db8::/33', expires_at: null },
    { id: 5, server: 'e/over', network: '2001:db8:0:1::/64', expires_at: '2020-01-01T00:00:00Z' },
    { id: 6, server: 'f/one', network: '2001:db8::5/128', expires_at: null },
    { id: 7, server: 'g/embedded', network: '64:ff9b::198.51.100.0/120', expires_at: null },
    { id: 8, server: 'h/all', network: '::/0', expires_at: null },
]
const clients = ['192.0.2.200', '192.0.2.1', '198.51.100.1', '2001:db8::1', '2001:db8:0:1::1', '2001:DB8:0:0:0:0:0:5', '2001:db8:8000::1', '64:ff9b::c633:6407', 'fe80::1%eth0', 'unknown', '']
found.clients = clients.map((address) => policy({ networks }).of_client(address, NOW))
const many = Array.from({ length: 100_000 }, (_, n) => ({ id: n, server: 'a/b', network: `10.${n >> 8 & 255}.${n & 255}.${(n >> 16) * 4}/30`, expires_at: null }))
const crowded = policy({ networks: many })
const began = process.hrtime.bigint()
for (let n = 0; n < 100; n++) crowded.of_client('192.0.2.1', NOW)
found.is_fast = Number(process.hrtime.bigint() - began) / 1e6 < 500
console.log(JSON.stringify(found))
