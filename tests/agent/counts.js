'use strict'
// Runs the plug-in's counts of send limits and prints what they say, as one JSON object.
const fs = require('node:fs')
const path = require('node:path')
const [, , plugin, folder] = process.argv
const { Counts, end_of } = require(path.join(plugin, 'sluice_counts.js'))

const NOW = Date.parse('2026-07-27T10:30:00.000Z')
const LIMITS = { hour: 3, day: null, month: 5 }
const found = {}

// Ten messages want to leave at once; every second attempt fails.
const counts = new Counts()
let most = 0
let sent = 0
for (let round = 0; round < 10; round++) {
    let started = 0
    for (let number = 0; number < 10; number++) if (counts.start('acme/mail', LIMITS, NOW)) started++
    most = Math.max(most, sent + started)
    for (let number = 0; number < started; number++) {
        if ((round + number) % 2) {
            counts.add('acme/mail', new Date(NOW).toISOString())
            sent++
        }
        counts.end('acme/mail')
    }
}
Object.assign(found, { most, sent, reached: counts.reached('acme/mail', LIMITS, NOW), others: counts.reached('globex/mail', LIMITS, NOW) })
found.next_hour = [...Array(5)].map(() => {
    const is_started = counts.start('acme/mail', LIMITS, NOW + 3600e3)
    if (is_started) {
        counts.add('acme/mail', new Date(NOW + 3600e3).toISOString())
        counts.end('acme/mail')
    }
    return is_started
})
found.in_month = counts.reached('acme/mail', LIMITS, NOW + 7200e3)
found.zero = new Counts().start('acme/mail', { hour: 0 }, NOW)
found.ends = ['hour', 'day', 'month'].map((name) => new Date(end_of(name, Date.parse('2026-12-31T23:59:59Z'))).toISOString())

// A restart: what was saved, and what the log holds after that, over a rotation and a cut line.
const log = path.join(folder, 'events.ndjson')
const event = (type, at = '2026-07-27T10:10:00.000Z') => `${JSON.stringify({ type, at, server: 'acme/mail', to: 'ü@"sent"' })}\n`
fs.writeFileSync(log, event('sent') + event('deferred') + event('sent', '2026-07-27T09:59:59.999Z'))
const before = new Counts()
before.load(path.join(folder, 'counts.json'), [log])
const stat = fs.statSync(log, { bigint: true })
before.save(path.join(folder, 'counts.json'), stat.ino, Number(stat.size))
fs.appendFileSync(log, event('sent'))
fs.renameSync(log, `${log}.1`)
fs.writeFileSync(log, event('sent') + event('sent').slice(0, 40))
const after = new Counts()
after.load(path.join(folder, 'counts.json'), [`${log}.1`, log])
found.before = ['hour', 'day'].map((name) => before.used('acme/mail', name, NOW))
found.after = ['hour', 'day', 'month'].map((name) => after.used('acme/mail', name, NOW))
after.forget(NOW + 40 * 86400e3)
found.forgotten = after.sent.size

console.log(JSON.stringify(found))
