'use strict'
// Haraka's side of sluice-agent: copy sluice.js and sluice_*.js into Haraka's plugins/ folder and name `sluice`
// in config/plugins. It takes mail from servers that log in, sends by the policy's addresses at the policy's limits, and
// writes what became of each recipient. `config/sluice.ini` may say another `folder` than the agent's default.

const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')

const client_pool = require('./outbound/client_pool')
const haraka_version = require('./package.json').version
const net_utils = require('haraka-net-utils')
const outbound_config = require('./outbound/config')
const outbound_queue = require('./outbound/queue')

const { Policy, draw, parts } = require('./sluice_policy')
const { Pace, PasswordDelay } = require('./sluice_pace')
const { Counts, end_of } = require('./sluice_counts')
const { EventLog } = require('./sluice_log')
const { Suppressions, REPLY } = require('./sluice_suppressions')
const { ways_to } = require('./sluice_ways')

const VERSION = '1.0'
const FOLDER = '/var/lib/sluice-agent/haraka'
const LOOK_EVERY = 250
const SAY_EVERY = 2000
// Without a policy, or with all addresses paused, mail waits and looks again.
const LOOK_AGAIN = 2
// Mail of a server that is suspended, or has reached a send limit, looks again after so many seconds.
const LOOK_LATER = 10
const COUNTS = 'sluice-counts.json'

const pace = new Pace()
const brake = new PasswordDelay()
const counts = new Counts()
// Attempts that have a place below a send limit: hmail → server.
const counted = new WeakMap()
const logins = { accepted: 0, refused: 0 }
let folder = FOLDER
let policy = null
let suppressions = null
let seen = {}
let digests = {}
let trouble = ''
let log = null

exports.register = function () {
    const smtp = this.config.get('smtp.ini').main || {}
    if (Number(smtp.nodes) > 1 || smtp.nodes === 'cpus') {
        throw new Error('sluice: smtp.ini must not have `nodes`: limits are counted in one process')
    }
    folder = (this.config.get('sluice.ini').main || {}).folder || process.env.SLUICE_AGENT_CONFIG || FOLDER
    suppressions = new Suppressions(folder)
    this.inherits('auth/auth_base')
    // auth_base keeps the password in the connection's notes otherwise.
    this.blankout_password = true
    for (const [hook, method] of Object.entries({
        mail: 'whose', rcpt: 'to_whom', queue_outbound: 'note', queue_ok: 'incoming', send_email: 'gate', get_mx: 'choose',
        delivered: 'on_delivered', deferred: 'on_deferred', bounce: 'on_bounce',
    })) this.register_hook(hook, method)
    count_connections()
    log = new EventLog(folder)
    counts.load(path.join(folder, COUNTS), log.files())
    look(this)
    say()
    setInterval(() => look(this), LOOK_EVERY).unref()
    setInterval(say, SAY_EVERY).unref()
}

// The policy's files, read anew when the agent has replaced one.
function look(plugin) {
    // Each recipient is a delivery of its own: limits count recipients, and pools may differ.
    if (outbound_config.cfg) outbound_config.cfg.always_split = true
    const now = {}
    for (const name of ['sluice.json', 'sluice-overlay.json']) {
        try {
            const stat = fs.statSync(path.join(folder, name), { bigint: true })
            now[name] = `${stat.ino} ${stat.mtimeNs}`
        } catch {
            return
        }
    }
    if (Object.keys(now).every((name) => now[name] === seen[name])) return
    seen = now
    try {
        const texts = Object.fromEntries(Object.keys(now).map((name) => [name, fs.readFileSync(path.join(folder, name), 'utf8')]))
        policy = new Policy(JSON.parse(texts['sluice.json']), JSON.parse(texts['sluice-overlay.json']))
        digests = Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, sha256(text)]))
        trouble = ''
    } catch (error) {
        // The policy before it stays.
        trouble = `${error.message}`
        plugin.logerror(`the policy cannot be used: ${trouble}`)
    }
    say()
}

function say() {
    const [active, , deferred] = outbound_queue.get_stats().split('/').map(Number)
    const text = JSON.stringify({ haraka: haraka_version, plugin: VERSION, files: digests, error: trouble, queue: { active, deferred }, logins })
    const file = path.join(folder, 'sluice-status.json')
    try {
        fs.writeFileSync(`${file}.new`, text)
        fs.renameSync(`${file}.new`, file)
    } catch {
        // The agent sees that the status grows old.
    }
    log.flush()
    pace.forget()
    counts.forget(Date.now())
    try {
        const stat = fs.statSync(log.file, { bigint: true })
        counts.save(path.join(folder, COUNTS), stat.ino, Number(stat.size))
    } catch {
        // Nothing was sent yet, or the disk is full: after a restart more of the log is read.
    }
}

// Who may send

function is_private(connection) {
    return connection.tls?.enabled || connection.remote.ip === '::1' || /^(::ffff:)?127\./.test(connection.remote.ip)
}

exports.hook_capabilities = function (next, connection) {
    // A password never goes over the net in the clear.
    if (is_private(connection)) {
        connection.capabilities.push('AUTH PLAIN LOGIN')
        connection.notes.allowed_auth_methods = ['PLAIN', 'LOGIN']
    }
    next()
}

exports.check_plain_passwd = function (connection, user, password, cb) {
    const client = connection.remote.ip
    setTimeout(() => {
        const fits = policy !== null && is_private(connection) && policy.accepts(user, password, Date.now())
        if (fits) brake.passed(client)
        else brake.failed(client)
        logins[fits ? 'accepted' : 'refused']++
        cb(fits)
    }, brake.delay(client))
}

exports.whose = function (next, connection) {
    if (!policy) return next(DENYSOFT, 'There is no policy yet')
    if (!log.flush()) return next(DENYSOFT, '4.3.1 The disk of this machine is full')
    const server = connection.notes.auth_user || policy.of_client(connection.remote.ip, Date.now())
    // Mail of others is not ours to judge: without a plug-in that takes it Haraka refuses it.
    if (!server) return next()
    const refusal = policy.refusal(server, Date.now())
    if (refusal) return next(DENY, refusal)
    const deferral = policy.deferral(server, Date.now()) || used_up(server, Date.now())
    if (deferral) return next(DENYSOFT, deferral)
    connection.notes.sluice_server = server
    connection.notes.sluice_uuid = policy.uuid_of(server)
    connection.relaying = true
    return next()
}

// The name of the server of a connection or message, as the policy has it now; undefined: mail of others.
function server_of(notes) {
    return policy ? policy.name_of(notes) : notes.sluice_server
}

// Why a server's send limit lets no more mail in; null: it does.
function used_up(server, now) {
    const limits = policy.send_limits(server)
    const name = counts.reached(server, limits, now)
    if (name === null) return null
    return `This server has reached its send limit of ${limits[name]} messages ${name === 'hour' ? 'an' : 'a'} ${name}; try again after ${new Date(end_of(name, now)).toISOString().slice(0, 16)}Z`
}

exports.to_whom = async function (next, connection, [to]) {
    const server = server_of(connection.notes)
    const { transaction } = connection
    if (!server || !policy) return next()
    const from = transaction.mail_from.address || ''
    if (policy.pool(server, from, to.address) === null) return next(DENY, 'This server has no IP pool for this mail')
    const stop = await suppressions.ask(server, to.address)
    // The client may be gone meanwhile.
    if (!stop || connection.transaction !== transaction) return next()
    hold(transaction, server, to)
    if (stop === 'refuse') return next(DENY, `5.7.1 ${REPLY}`)
    transaction.notes.sluice_dropped = [...(transaction.notes.sluice_dropped || []), to.address]
    return next()
}

// A suppressed recipient: the attempt ends here.
function hold(transaction, server, to) {
    log.write({
        id: `suppressed/${crypto.randomUUID()}`, type: 'held', at: new Date().toISOString(), server,
        from: transaction.mail_from.address || '', to: to.address, code: 550, enhanced: '5.7.1', reply: `550 5.7.1 ${REPLY}`,
    })
}

exports.note = function (next, connection) {
    const server = server_of(connection.notes)
    const dropped = connection.transaction.notes.sluice_dropped
    if (dropped) {
        connection.transaction.rcpt_to = connection.transaction.rcpt_to.filter((to) => !dropped.includes(to.address))
        // It is accepted, and nothing is left of it.
        if (!connection.transaction.rcpt_to.length) return next(OK)
    }
    if (server) {
        connection.transaction.notes.sluice_server = server
        connection.transaction.notes.sluice_uuid = connection.notes.sluice_uuid
        const from = connection.transaction.mail_from.address || ''
        if (connection.transaction.rcpt_to.every((to) => policy.pool(server, from, to.address) === null)) {
            return next(DENY, 'This server has no IP pool for this mail')
        }
    }
    return next()
}

exports.incoming = function (next, connection) {
    const { transaction } = connection
    const server = transaction && server_of(transaction.notes)
    if (server) {
        transaction.rcpt_to.forEach((to, number) => {
            log.write({ id: `${transaction.uuid}/in${number}`, type: 'incoming', at: new Date().toISOString(), server, from: transaction.mail_from.address || '', to: to.address })
        })
    }
    next()
}

// By which address, and when

function pool_of(todo) {
    const to = todo.rcpt_to[0]?.address || ''
    const server = server_of(todo.notes)
    if (server) return policy.pool(server, todo.mail_from.address || '', to)
    // A notification that Haraka made has no server.
    return Object.keys(policy.document.pools).sort()[0] || null
}

exports.gate = function (next, hmail) {
    // What could not be written down is not sent.
    if (!policy || !log.flush()) return next(DELAY, LOOK_AGAIN)
    const server = server_of(hmail.todo.notes)
    if (server && (policy.deferral(server, Date.now()) || used_up(server, Date.now()))) return next(DELAY, LOOK_LATER)
    const [, domain] = parts(hmail.todo.rcpt_to[0]?.address || `@${hmail.todo.domain}`)
    const candidates = policy.candidates(pool_of(hmail.todo), domain)
    if (!candidates.length) return next(DELAY, LOOK_AGAIN)
    const { notes } = hmail
    // Drawn once for an attempt, and again where the address was taken out of the draw meanwhile.
    if (notes.sluice_attempt !== hmail.num_failures || !candidates.some(([tag]) => tag === notes.sluice_tag)) {
        notes.sluice_tag = draw(candidates, Math.random())
        notes.sluice_attempt = hmail.num_failures
        notes.sluice_ticket = {}
    }
    const tag = notes.sluice_tag
    const { rule } = policy.limit(tag, domain)
    const limit = () => (Object.hasOwn(policy.document.sources, tag) ? policy.limit(tag, domain) : { connections: 1, per_hour: 0 })
    pace.ask(`${tag}|${rule || domain}`, limit, notes.sluice_ticket,
        (hold) => {
            // Paused, or of another node, while it waited for its turn.
            if (!policy.candidates(pool_of(hmail.todo), domain).some(([other]) => other === tag)) {
                pace.free(hold)
                return next(DELAY, LOOK_AGAIN)
            }
            if (server && !take_place(hmail, server)) {
                pace.free(hold)
                return next(DELAY, LOOK_AGAIN)
            }
            notes.sluice_hold = hold
            notes.sluice_rule = rule
            notes.sluice_ticket = {}
            notes.sluice_began = Date.now()
            return next()
        },
        (milliseconds) => next(DELAY, milliseconds / 1000))
    return undefined
}

// A place below the server's send limits; those under way have theirs, so no more are sent than may be.
function take_place(hmail, server) {
    if (!counts.start(server, policy.send_limits(server), Date.now())) return false
    counted.set(hmail, server)
    return true
}

function give_place(hmail) {
    if (counted.has(hmail)) counts.end(counted.get(hmail))
    counted.delete(hmail)
}

exports.choose = async function (next, hmail, domain) {
    const source = policy.document.sources[hmail.notes.sluice_tag]
    try {
        const mxs = await net_utils.get_mx(domain)
        if (!mxs.length) return next(DENY, `Nowhere to deliver mail to for domain: ${domain}`)
        if (mxs.length === 1 && mxs[0].exchange === '') return next(OK, mxs)
        const ways = await ways_to(mxs, source, hmail.notes.sluice_hold, net_utils.HarakaMx)
        hmail.notes.sluice_names = Object.fromEntries(ways.map((way) => [way.exchange, way.from_dns]))
        return ways.length ? next(OK, ways) : next(DENYSOFT)
    } catch (error) {
        return ['ENOTFOUND', 'NXDOMAIN'].includes(error.code) ? next(DENY, `No Such Domain: ${domain}`) : next(DENYSOFT)
    }
}

// A connection counts until its socket is destroyed: Haraka's hooks come before QUIT is answered.
function count_connections() {
    const { get_client } = client_pool
    client_pool.get_client = (mx, cb) => {
        const hold = mx.sluice
        if (!hold) return get_client(mx, cb)
        pace.opened(hold)
        let is_closed = false
        const close = () => {
            if (!is_closed) pace.closed(hold)
            is_closed = true
        }
        return get_client(mx, (error, socket) => {
            if (error) {
                close()
                return cb(error, socket)
            }
            const { destroy } = socket
            socket.destroy = function (...all) {
                close()
                return destroy.apply(this, all)
            }
            return cb(error, socket)
        })
    }
}

// What became of it

exports.on_delivered = function (next, hmail, [host, ip, response, , , , recipients]) {
    for (const to of recipients) {
        outcome(hmail, 'sent', to, { code: 250, reply: response, mx: host || ip, attempt: hmail.num_failures + 1 })
    }
    give_place(hmail)
    next()
}

exports.on_deferred = function (next, hmail, { err }) {
    // num_failures was counted up before this.
    for (const to of hmail.todo.rcpt_to) outcome(hmail, 'deferred', to, { ...answer(hmail, to, err), attempt: hmail.num_failures })
    settle(hmail)
    next()
}

exports.on_bounce = function (next, hmail, err) {
    for (const to of hmail.todo.rcpt_to) outcome(hmail, 'bounced', to, { ...answer(hmail, to, err.message), attempt: hmail.num_failures + 1 })
    settle(hmail)
    next()
}

// An attempt that never opened a connection gives its place back.
function settle(hmail) {
    give_place(hmail)
    const hold = hmail.notes.sluice_hold
    if (hold && hold.sockets <= 0) pace.free(hold)
}

// What the receiver said; where it said nothing, what Haraka says, without a code: its "5.1.2" of a failed connection is none.
function answer(hmail, to, err) {
    const code = Number(to.dsn_smtp_code)
    if (!code) return { reply: `${err || ''}`.slice(0, 1000) }
    const found = { code, reply: `${to.dsn_smtp_response || ''}`.slice(0, 1000) }
    if (/^[245]\.\d{1,3}\.\d{1,3}$/.test(to.dsn_smtp_extc || '')) found.enhanced = to.dsn_smtp_extc
    if (to.dsn_remote_mta) found.mx = hmail.notes.sluice_names?.[to.dsn_remote_mta] || to.dsn_remote_mta
    return found
}

function outcome(hmail, type, to, more) {
    const server = server_of(hmail.todo.notes)
    if (!server) return
    const source = policy && policy.document.sources[hmail.notes.sluice_tag]
    const at = new Date().toISOString()
    log.write({
        // One message may have several outcomes under one uuid.
        id: `${hmail.todo.uuid}/${sha256(`${to.address} ${type} ${hmail.num_failures}`).slice(0, 20)}`,
        type,
        at,
        server,
        ...(source && hmail.notes.sluice_hold ? { ip: source.ip } : {}),
        from: hmail.todo.mail_from.address || '',
        to: to.address,
        ...more,
        ...(hmail.notes.sluice_rule === undefined ? {} : { rule: hmail.notes.sluice_rule }),
        seconds: Math.max(0, Date.now() - hmail.todo.queue_time) / 1000,
    })
    if (type === 'sent') counts.add(server, at)
}

function sha256(text) {
    return crypto.createHash('sha256').update(text).digest('hex')
}
