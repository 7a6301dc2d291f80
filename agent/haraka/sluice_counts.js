'use strict'
// How many messages each server sent in the current UTC hour, day and month, and how many are under way: what send limits are held
// to. Exact at this machine: a message counts from before its attempt until it failed, and for good once it was sent. The counts
// are written beside the events, and after a restart the events that came later are added.

const fs = require('node:fs')
const path = require('node:path')

// The period of a time, as the beginning of it in ISO 8601.
const LENGTH = { hour: 13, day: 10, month: 7 }
const PIECE = 1024 * 1024

class Counts {
    constructor() {
        this.sent = new Map() // server → {hour: [period, number], …}
        this.started = new Map() // server → number under way
    }

    // Note a message that was sent at a time (ISO 8601).
    add(server, at) {
        if (!this.sent.has(server)) this.sent.set(server, {})
        const found = this.sent.get(server)
        for (const [name, length] of Object.entries(LENGTH)) {
            const period = at.slice(0, length)
            if (!found[name] || found[name][0] < period) found[name] = [period, 0]
            if (found[name][0] === period) found[name][1]++
        }
    }

    used(server, name, now) {
        const found = this.sent.get(server)?.[name]
        const period = new Date(now).toISOString().slice(0, LENGTH[name])
        return found && found[0] === period ? found[1] : 0
    }

    // The period whose limit is used up by what was sent; the longest of several; null: none. With `under_way` what is on its way
    // counts as well: one more could be one too many.
    reached(server, limits, now, under_way = 0) {
        return ['month', 'day', 'hour'].find((name) => Number.isInteger(limits[name]) && this.used(server, name, now) + under_way >= limits[name]) || null
    }

    // Take a place for a message, and return whether there was one.
    start(server, limits, now) {
        const started = this.started.get(server) || 0
        if (this.reached(server, limits, now, started) !== null) return false
        this.started.set(server, started + 1)
        return true
    }

    // Give the place back. What was sent is noted before.
    end(server) {
        const left = (this.started.get(server) || 0) - 1
        if (left > 0) this.started.set(server, left)
        else this.started.delete(server)
    }

    // Forget periods that are over.
    forget(now) {
        for (const server of this.sent.keys()) {
            if (Object.keys(LENGTH).every((name) => !this.used(server, name, now))) this.sent.delete(server)
        }
    }

    // Write what was counted up to the end of the log, whose inode and size that is.
    save(file, inode, size) {
        fs.writeFileSync(`${file}.new`, JSON.stringify({ inode: `${inode}`, size, sent: Object.fromEntries(this.sent) }))
        fs.renameSync(`${file}.new`, file)
    }

    // Read what was saved, and add the events that the logs (oldest first) hold after that.
    load(file, logs) {
        let saved = null
        try {
            saved = JSON.parse(fs.readFileSync(file, 'utf8'))
            this.sent = new Map(Object.entries(saved.sent))
        } catch {
            this.sent = new Map()
        }
        const inodes = logs.map((log) => `${fs.statSync(log, { bigint: true }).ino}`)
        const first = saved ? inodes.indexOf(saved.inode) : -1
        // The log that was saved is gone: what came before it was counted.
        logs.slice(Math.max(0, first)).forEach((log, number) => this.read(log, first >= 0 && number === 0 ? saved.size : 0))
    }

    read(log, from) {
        const descriptor = fs.openSync(log, 'r')
        const piece = Buffer.alloc(PIECE)
        let rest = Buffer.alloc(0)
        try {
            for (let at = from, length; (length = fs.readSync(descriptor, piece, 0, PIECE, at)) > 0; at += length) {
                const lines = Buffer.concat([rest, piece.subarray(0, length)])
                const end = lines.lastIndexOf(10) + 1
                rest = lines.subarray(end)
                for (const line of lines.subarray(0, end).toString('utf8').split('\n')) this.line(line)
            }
        } finally {
            fs.closeSync(descriptor)
        }
    }

    line(text) {
        if (!text.includes('"sent"')) return
        try {
            const event = JSON.parse(text)
            if (event.type === 'sent') this.add(event.server, event.at)
        } catch {
            // A line that a crash cut.
        }
    }
}

// When the UTC hour, day or month of a time is over, in milliseconds.
function end_of(name, now) {
    const at = new Date(now)
    const [year, month, day, hour] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate(), at.getUTCHours()]
    if (name === 'hour') return Date.UTC(year, month, day, hour + 1)
    return name === 'day' ? Date.UTC(year, month, day + 1) : Date.UTC(year, month + 1)
}

module.exports = { Counts, end_of }
