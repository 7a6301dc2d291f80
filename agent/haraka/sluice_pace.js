'use strict'
// Counters of (source, rule), or (source, domain) where no rule applies: how many connections are open, and when the next message
// may start. One process counts: Haraka's cluster mode would count in each worker.

const { bytes_of } = require('./sluice_policy')

// A window as long as the limit's must never hold one message too many, though messages take differently long to arrive.
const MARGIN = 1.03
// So far ahead a slot is promised. Haraka looks at delayed messages once a second.
const HORIZON = 1500
const LONGEST_DELAY = 5000
const SHORTEST_DELAY = 300
const SOON = 1000

class Counter {
    constructor() {
        this.next = 0 // when the next slot starts
        this.tail = 0 // when the last of those that wait may expect theirs
        this.gap = 0 // between two slots
        this.epoch = 0 // how often that changed
        this.busy = 0 // connections, and messages about to open one
        this.waiting = [] // callbacks of messages that wait for a connection
        this.used = 0
    }
}

class Pace {
    constructor(clock = Date.now, later = setTimeout) {
        this.counters = new Map()
        this.clock = clock
        this.later = later
    }

    // Call go(hold) when the message may start, or delay(milliseconds): ask again then.
    // `limit` is a function: limits may have changed when the turn comes.
    ask(key, limit, ticket, go, delay) {
        const counter = this.counter(key)
        const now = (counter.used = this.clock())
        const { connections, per_hour } = limit()
        if (connections && counter.busy >= connections) {
            if (counter.waiting.length >= connections) return delay(SOON)
            counter.waiting.push(() => this.ask(key, limit, ticket, go, delay))
            return undefined
        }
        if (!per_hour) return this.start(key, counter, go)
        const gap = (3600e3 / per_hour) * MARGIN
        if (counter.gap !== gap) {
            // What was expected by the limit before says nothing any more: those that wait line up again.
            counter.gap = gap
            counter.epoch++
            counter.tail = 0
        }
        // After a change to a higher limit nobody waits for the slot of the lower one.
        counter.next = Math.min(counter.next, now + HORIZON + gap)
        if (counter.next > now + HORIZON) {
            if (!ticket.due || ticket.epoch !== counter.epoch) {
                counter.tail = Math.max(counter.tail, counter.next) + gap
                ticket.due = counter.tail
                ticket.epoch = counter.epoch
            } else if (ticket.due < now) {
                ticket.due = counter.next
            }
            return delay(Math.min(LONGEST_DELAY, Math.max(SHORTEST_DELAY, ticket.due - now - HORIZON)))
        }
        const slot = Math.max(now, counter.next)
        counter.next = slot + gap
        if (slot <= now) return this.start(key, counter, go)
        const hold = this.hold(key, counter)
        this.later(() => go(hold), slot - now)
        return undefined
    }

    start(key, counter, go) {
        go(this.hold(key, counter))
    }

    hold(key, counter) {
        counter.busy++
        return { key, sockets: 0, is_free: false }
    }

    counter(key) {
        if (!this.counters.has(key)) this.counters.set(key, new Counter())
        return this.counters.get(key)
    }

    opened(hold) {
        // A second server of the same domain is tried after the connection to the first was given back.
        if (hold.is_free) {
            hold.is_free = false
            this.counter(hold.key).busy++
        }
        hold.sockets++
    }

    closed(hold) {
        hold.sockets--
        if (hold.sockets <= 0) this.later(() => hold.sockets <= 0 && this.free(hold), 50)
    }

    free(hold) {
        if (hold.is_free) return
        hold.is_free = true
        const counter = this.counter(hold.key)
        counter.busy--
        // All ask again: the first may have to wait for its slot, and would keep the place from the others.
        for (const again of counter.waiting.splice(0)) again()
    }

    // Counters that nobody has used for two hours say nothing any more.
    forget() {
        const now = this.clock()
        for (const [key, counter] of this.counters) {
            if (!counter.busy && !counter.waiting.length && counter.next < now && counter.used < now - 7200e3) this.counters.delete(key)
        }
    }
}

// A client that presents wrong passwords waits: 1, 2, 4, 8 seconds.
class PasswordDelay {
    constructor(clock = Date.now) {
        this.wrong = new Map()
        this.clock = clock
    }

    delay(client) {
        const count = this.count(client)
        return count ? Math.min(8e3, 1000 * 2 ** (count - 1)) : 0
    }

    failed(client) {
        if (this.wrong.size > 10000) this.wrong.clear()
        this.wrong.set(network_of(client), { count: this.count(client) + 1, last: this.clock() })
    }

    passed(client) {
        this.wrong.delete(network_of(client))
    }

    count(client) {
        const found = this.wrong.get(network_of(client))
        return found && this.clock() - found.last < 300e3 ? Math.min(found.count, 10) : 0
    }
}

// What one client can be: who has one IPv6 address has those of its /64 as well.
function network_of(client) {
    const bytes = bytes_of(client)
    if (bytes?.length !== 16) return client
    const is_mapped = bytes.slice(0, 10).every((byte) => !byte) && bytes[10] === 255 && bytes[11] === 255
    return is_mapped ? bytes.slice(12).join('.') : bytes.slice(0, 8).join(':')
}

module.exports = { Pace, PasswordDelay, MARGIN }
