'use strict'
// To which addresses of a domain's mail servers mail goes, and from which of the source's.

const dns = require('node:dns').promises

// Each address of each mail server, from the source's address of the same family: Haraka would use another where none is given.
async function ways_to(mxs, source, hold, Mx) {
    const ways = []
    for (const mx of mxs.sort((a, b) => a.priority - b.priority)) {
        for (const [bind, resolve] of [[source.ip, dns.resolve4], [source.ipv6, dns.resolve6]]) {
            if (!bind) continue
            const is_address = /^[\d.]+$|:/.test(mx.exchange)
            if (is_address && mx.exchange.includes(':') !== bind.includes(':')) continue
            const found = is_address ? [mx.exchange] : await resolve(mx.exchange).catch(() => [])
            for (const exchange of found) {
                const from_dns = is_address ? mx.from_dns || mx.exchange : mx.exchange
                const way = new Mx({ exchange, priority: mx.priority, from_dns, bind, bind_helo: source.helo })
                way.sluice = hold
                ways.push(way)
            }
        }
    }
    return ways
}

module.exports = { ways_to }
