'use strict'
// Asks the agent whether a recipient is suppressed, by its socket `sluice-suppressions`: a line of JSON each way. Where nobody
// answers within a second, mail is taken.

const net = require('node:net')
const path = require('node:path')

const SOCKET = 'sluice-suppressions'
const LONGEST_WAIT = 1000
const LONGEST_LINE = 65536
const REPLY = 'Sluice: this recipient is suppressed, no mail is sent to it'

class Suppressions {
    constructor(folder) {
        this.path = path.join(folder, SOCKET)
        this.socket = null
        this.waiting = new Map()
        this.number = 0
    }

    // 'refuse', 'drop', or null: the server sends mail to this address.
    ask(server, to) {
        return new Promise((resolve) => {
            const n = ++this.number
            const timer = setTimeout(() => this.answer(n, null), LONGEST_WAIT)
            this.waiting.set(n, { resolve, timer })
            this.connection().write(`${JSON.stringify({ n, server, to })}\n`)
        })
    }

    answer(n, stop) {
        const asked = this.waiting.get(n)
        if (!asked) return
        this.waiting.delete(n)
        clearTimeout(asked.timer)
        asked.resolve(stop === 'refuse' || stop === 'drop' ? stop : null)
    }

    connection() {
        if (this.socket) return this.socket
        const socket = net.createConnection(this.path)
        let rest = ''
        socket.setEncoding('utf8')
        socket.unref()
        socket.on('data', (text) => {
            const lines = (rest + text).split('\n')
            rest = lines.pop().slice(0, LONGEST_LINE)
            for (const line of lines) {
                try {
                    const { n, stop } = JSON.parse(line)
                    this.answer(n, stop)
                } catch {
                    // Its question is answered by the time that is over.
                }
            }
        })
        // Those that wait are answered by the time that is over; the next question connects anew.
        const gone = () => {
            if (this.socket === socket) this.socket = null
        }
        socket.on('error', gone)
        socket.on('close', gone)
        this.socket = socket
        return socket
    }
}

module.exports = { Suppressions, REPLY }
