'use strict'
// The log of events, a line of JSON each, which the agent reads. Where the disk is full, lines are kept until they fit, and none is
// left half written: the caller takes and sends no mail meanwhile.

const fs = require('node:fs')
const path = require('node:path')

const NAME = 'sluice-events.ndjson'
const LARGEST = 64 * 1024 * 1024
const KEPT = 20

class EventLog {
    constructor(folder) {
        this.folder = folder
        this.file = path.join(folder, NAME)
        this.descriptor = null
        this.waiting = []
    }

    write(event) {
        this.waiting.push(`${JSON.stringify(event)}\n`)
        this.flush()
    }

    // Whether every line is on the disk; tries again if not.
    flush() {
        if (!this.waiting.length) return true
        let size = null
        try {
            this.open()
            size = fs.fstatSync(this.descriptor).size
            const lines = Buffer.from(this.waiting.join(''))
            if (fs.writeSync(this.descriptor, lines) < lines.length) throw new Error('the disk is full')
            this.waiting = []
            return true
        } catch {
            this.cut(size)
            return false
        }
    }

    // A line that was written in part would spoil the next one.
    cut(size) {
        try {
            if (size !== null) fs.ftruncateSync(this.descriptor, size)
        } catch {
            // Tried again with the next line, from the size that is found then.
        }
    }

    open() {
        if (this.descriptor !== null && fs.fstatSync(this.descriptor).size > LARGEST) {
            fs.closeSync(this.descriptor)
            this.descriptor = null
            fs.renameSync(this.file, `${this.file}.${Date.now()}`)
            for (const name of this.rotated().slice(0, -KEPT)) fs.unlinkSync(path.join(this.folder, name))
        }
        if (this.descriptor === null) this.descriptor = fs.openSync(this.file, 'a', 0o640)
    }

    // Logs that are full, oldest first.
    rotated() {
        return fs.existsSync(this.folder) ? fs.readdirSync(this.folder).filter((name) => /^sluice-events\.ndjson\.\d+$/.test(name)).sort() : []
    }

    // The files that are there, oldest first.
    files() {
        return [...this.rotated(), NAME].map((name) => path.join(this.folder, name)).filter((file) => fs.existsSync(file))
    }
}

module.exports = { EventLog }
