'use strict'
// What the policy says, from the two JSON files of the agent (`sluice.json`, `sluice-overlay.json`): pure, no Haraka here.

const crypto = require('node:crypto')
const net = require('node:net')

const FORMAT = 1

class Policy {
    constructor(document, overlay) {
        if (document.format !== FORMAT) throw new Error(`sluice.json has format ${document.format}, not ${FORMAT}`)
        for (const name of ['limit', 'limits', 'sources', 'draws', 'pools', 'rules', 'tenants']) {
            if (typeof document[name] !== 'object' || document[name] === null) throw new Error(`sluice.json has no ${name}`)
        }
        this.document = document
        this.names = new Map(Object.entries(document.tenants).map(([name, each]) => [each.server, name]))
        this.paused = new Set(overlay.paused || [])
        this.suspended = new Map((overlay.suspended || []).map((each) => [each.server, moment(each.until)]))
        this.deferred = new Map((overlay.deferred || []).map((each) => [each.server, { ...each, until: moment(each.until) }]))
        this.credentials = new Map()
        for (const each of overlay.credentials || []) {
            if (!this.credentials.has(each.server)) this.credentials.set(each.server, [])
            this.credentials.get(each.server).push({ digest: Buffer.from(each.sha256, 'hex'), until: moment(each.expires_at) })
        }
        this.caps = new Map()
        for (const each of overlay.caps || []) {
            if (!this.caps.has(each.source)) this.caps.set(each.source, [])
            this.caps.get(each.source).push({ ...each, until: moment(each.until) })
        }
        this.resting = new Map()
        for (const each of overlay.resting || []) {
            if (!this.resting.has(each.source)) this.resting.set(each.source, [])
            this.resting.get(each.source).push({ domains: each.domains, until: moment(each.until) })
        }
        this.networks = new Networks(overlay.networks || [])
    }

    // What the policy calls the server of a message: by its UUID, which outlives a renaming. A server that the policy does not
    // have keeps the UUID, since another one may have the name by now. Messages of older plug-ins have the name alone.
    name_of({ sluice_server, sluice_uuid }) {
        return sluice_uuid ? this.names.get(sluice_uuid) || sluice_uuid : sluice_server
    }

    uuid_of(server) {
        return own(this.document.tenants, server)?.server
    }

    // Whether this is the password of an SMTP credential of the server, which may send now.
    accepts(user, password, now) {
        const given = crypto.createHash('sha256').update(password, 'utf8').digest()
        let fits = false
        for (const each of this.credentials.get(user) || []) {
            if (crypto.timingSafeEqual(given, each.digest) && (each.until === null || now < each.until)) fits = true
        }
        return fits && !this.is_suspended(user, now)
    }

    is_suspended(server, now) {
        if (!this.suspended.has(server)) return false
        const until = this.suspended.get(server)
        return until === null || now < until
    }

    // The server that a client's address stands for, by the narrowest network; null: it needs a password.
    of_client(address, now) {
        return this.networks.of(address, now)
    }

    // Why the server's mail is refused for good; null: it is taken.
    refusal(server, now) {
        const tenant = own(this.document.tenants, server)
        return tenant ? tenant.refuse : 'This server does not send by this machine'
    }

    // Why the server's mail has to wait, that which was accepted before as well; null: it need not.
    deferral(server, now) {
        if (this.is_suspended(server, now)) return 'This server is suspended'
        const found = this.deferred.get(server)
        return found && now < found.until ? found.reason : null
    }

    // {hour, day, month}: how many messages the server may send in each; null: any number.
    send_limits(server) {
        return own(this.document.tenants, server)?.send_limits || {}
    }

    // The pool for a message of a server; null: none.
    pool(server, from, to) {
        const tenant = own(this.document.tenants, server)
        if (!tenant) return null
        for (const rule of (tenant.rules && this.document.rules[tenant.rules]) || []) {
            if (matches(rule.from, from) && matches(rule.to, to)) return rule.pool
        }
        return tenant.pool
    }

    // By which sources the pool's mail to a domain may leave now: [[tag, weight]].
    candidates(pool, domain, now = Date.now()) {
        const table = own(this.document.pools, pool)
        if (!table) return []
        // What a warm-up allows no more of goes to the others, and waits only where there are none.
        const entries = this.document.draws[look_up(table, domain)].filter(
            ([tag, , unless]) => !this.paused.has(tag) && !unless.some((other) => this.paused.has(other)) && !this.rests(tag, domain, now)
        )
        const weighted = entries.filter(([, weight]) => weight > 0)
        return weighted.length ? weighted.map(([tag, weight]) => [tag, weight]) : entries.map(([tag]) => [tag, 1])
    }

    rests(tag, domain, now) {
        return (this.resting.get(tag) || []).some(({ domains, until }) => (until === null || now < until) && (!domains.length || domains.some((pattern) => covers(pattern, domain))))
    }

    // {rule, connections, per_hour} of a source towards a domain: the rule's, under the caps that apply now; 0 is unlimited.
    limit(tag, domain, now = Date.now()) {
        const limit = this.document.limit[look_up(this.document.limits[this.document.sources[tag].limits], domain)]
        if (!this.caps.has(tag)) return limit
        let { connections, per_hour } = limit
        for (const cap of this.caps.get(tag)) {
            if (cap.until !== null && now >= cap.until) continue
            if (cap.rule !== null && cap.rule !== limit.rule) continue
            if (cap.domains && !cap.domains.some((pattern) => covers(pattern, domain))) continue
            connections = least(connections, share(limit.connections, cap.percent_connections) ?? cap.connections)
            per_hour = least(per_hour, share(limit.per_hour, cap.percent_per_hour) ?? cap.per_hour)
        }
        return { rule: limit.rule, connections, per_hour }
    }
}

// The domain in `exact`, else its nearest parent in `below`, else the default.
function look_up(table, domain) {
    if (Object.hasOwn(table.exact, domain)) return table.exact[domain]
    for (let at = domain.indexOf('.'); at >= 0; at = domain.indexOf('.', at + 1)) {
        const parent = domain.slice(at + 1)
        if (Object.hasOwn(table.below, parent)) return table.below[parent]
    }
    return table.default
}

// Whether a domain pattern (`a.b`, `*.a.b`, `[*.]a.b`) matches.
function covers(pattern, domain) {
    if (pattern.startsWith('[*.]')) return domain === pattern.slice(4) || domain.endsWith(`.${pattern.slice(4)}`)
    return pattern.startsWith('*.') ? domain.endsWith(pattern.slice(1)) : domain === pattern
}

// A percentage of a limit, rounded down and at least 1; 0 of unlimited. Undefined: no percentage is given.
function share(limit, percent) {
    return percent ? limit && Math.max(1, Math.floor((limit * percent) / 100)) : undefined
}

// The lower of a limit and a cap, where 0 and null are unlimited.
function least(limit, cap) {
    return cap && (!limit || cap < limit) ? cap : limit
}

// With @ an address without its +tag, else a domain; no conditions: any.
function matches(conditions, address) {
    if (!conditions.length) return true
    const [local, domain] = parts(address)
    return conditions.includes(domain) || conditions.includes(`${local.replace(/\+.*$/, '')}@${domain}`)
}

function parts(address) {
    const at = address.lastIndexOf('@')
    return at < 0 ? [address.toLowerCase(), ''] : [address.slice(0, at).toLowerCase(), address.slice(at + 1).toLowerCase()]
}

function draw(candidates, random) {
    let left = random * candidates.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [tag, weight] of candidates) {
        left -= weight
        if (left < 0) return tag
    }
    return candidates[candidates.length - 1][0]
}

// The networks of clients, found by their prefixes. An organization can have a hundred thousand, and every other client waits
// while one is looked up.
class Networks {
    constructor(networks) {
        // Bytes of an address → [[length of the prefix, prefix → entries]], the narrowest first.
        this.found = new Map([[4, []], [16, []]])
        for (const each of [...networks].sort((a, b) => a.id - b.id)) {
            const [address, length] = each.network.split('/')
            const bytes = bytes_of(address)
            const bits = length === undefined ? bytes.length * 8 : Number(length)
            const lengths = this.found.get(bytes.length)
            let prefixes = lengths.find(([other]) => other === bits)?.[1]
            if (!prefixes) lengths.push([bits, (prefixes = new Map())])
            const prefix = prefix_of(bytes, bits)
            if (!prefixes.has(prefix)) prefixes.set(prefix, [])
            prefixes.get(prefix).push({ server: each.server, until: moment(each.expires_at) })
        }
        for (const lengths of this.found.values()) lengths.sort(([a], [b]) => b - a)
    }

    // Return the server of the narrowest network that contains the address, or null.
    of(address, now) {
        const bytes = bytes_of(address)
        if (!bytes) return null
        for (const [bits, prefixes] of this.found.get(bytes.length)) {
            const entry = prefixes.get(prefix_of(bytes, bits))?.find(({ until }) => until === null || now < until)
            if (entry) return entry.server
        }
        return null
    }
}

// Return the bytes of an address, or null if the text is not one.
function bytes_of(address) {
    const text = `${address}`.split('%')[0]
    if (net.isIPv4(text)) return Uint8Array.from(text.split('.').map(Number))
    if (!net.isIPv6(text)) return null
    const [head, tail] = text.split('::').map((part) => part.split(':').filter(Boolean).flatMap(groups_of))
    const groups = tail === undefined ? head : [...head, ...Array(8 - head.length - tail.length).fill(0), ...tail]
    return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]))
}

// What stands between two colons: a group, or an IPv4 address at the end, which is two.
function groups_of(part) {
    if (!part.includes('.')) return [parseInt(part, 16)]
    const [a, b, c, d] = part.split('.').map(Number)
    return [a * 256 + b, c * 256 + d]
}

function prefix_of(bytes, bits) {
    if (bytes.length === 4) return bits ? (((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) >>> (32 - bits)) : 0
    const prefix = Buffer.from(bytes.subarray(0, Math.ceil(bits / 8)))
    if (bits % 8) prefix[prefix.length - 1] &= 256 - (1 << (8 - bits % 8))
    return prefix.toString('latin1')
}

function moment(text) {
    return text ? Date.parse(text) : null
}

function own(object, name) {
    return name !== null && name !== undefined && Object.hasOwn(object, name) ? object[name] : null
}

module.exports = { Policy, draw, parts, look_up, bytes_of }
