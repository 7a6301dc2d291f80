'use strict'
// Runs the plug-in's counters in virtual time and prints when messages started, as one JSON object.
const path = require('node:path')
const { Pace, PasswordDelay } = require(path.join(process.argv[2], 'sluice_pace.js'))

let now = 0
let queue = []
const later = (call, milliseconds) => queue.push({ at: now + milliseconds, call })
const pace = new Pace(() => now, later)

// Haraka looks at delayed messages once a second.
function send(key, limit, seconds, started) {
    const ticket = {}
    const ask = () =>
        pace.ask(key, limit, ticket,
            (hold) => {
                started.push({ at: now, busy: pace.counter(key).busy })
                pace.opened(hold)
                later(() => pace.closed(hold), seconds * 1000)
            },
            (milliseconds) => {
                const due = Math.ceil((now + milliseconds) / 1000) * 1000
                queue.push({ at: due, call: ask })
            })
    ask()
}

function run(until) {
    while (queue.length) {
        queue.sort((a, b) => a.at - b.at)
        if (queue[0].at > until) return
        const next = queue.shift()
        now = Math.max(now, next.at)
        next.call()
    }
}

const scenarios = {}
function scenario(name, messages, limit, seconds, until, change) {
    now = Math.ceil(now / 1e7 + 1) * 1e7
    queue = []
    const began = now
    const started = []
    for (let number = 0; number < messages; number++) send(name, () => limit, seconds, started)
    if (change) {
        run(began + change.after)
        Object.assign(limit, change.to)
    }
    run(began + until)
    scenarios[name] = started.map(({ at, busy }) => [at - began, busy])
}

scenario('hourly', 150, { connections: 0, per_hour: 3600 }, 0.05, 120e3)
scenario('fast', 700, { connections: 0, per_hour: 36000 }, 0.05, 60e3)
scenario('slow', 70, { connections: 0, per_hour: 60 }, 0.05, 3600e3)
scenario('connections', 100, { connections: 3, per_hour: 0 }, 1, 300e3)
scenario('both', 60, { connections: 2, per_hour: 3600 }, 5, 300e3)
scenario('lowered', 150, { connections: 0, per_hour: 3600 }, 0.05, 400e3, { after: 60e3, to: { per_hour: 360 } })
scenario('raised', 150, { connections: 0, per_hour: 360 }, 0.05, 200e3, { after: 60e3, to: { per_hour: 3600 } })
const brake = new PasswordDelay(() => now)
for (const client of ['2001:db8::1', '2001:db8::2', '::ffff:192.0.2.1', 'unknown']) brake.failed(client)
scenarios.delays = ['2001:db8:0:0:3::', '2001:db8:0:1::', '192.0.2.1', '::ffff:192.0.2.2', 'unknown'].map((client) => brake.delay(client))
process.stdout.write(JSON.stringify(scenarios))
