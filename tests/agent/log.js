'use strict'
// Lets the plug-in write its log on a disk that is full for a time, and prints what was said, as one JSON object.
const fs = require('node:fs')
const path = require('node:path')
const [, , plugin, folder] = process.argv
const { EventLog } = require(path.join(plugin, 'sluice_log.js'))

const { writeSync } = fs
// A disk with so many bytes left.
let left = Infinity
fs.writeSync = (descriptor, lines) => {
    if (!left) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    const written = writeSync(descriptor, Buffer.from(lines).subarray(0, left))
    left -= written
    return written
}

const log = new EventLog(folder)
const found = {}
log.write({ n: 1 })
// Half of a line fits.
left = 4
log.write({ n: 2 })
found.is_flushed = [log.flush()]
found.while_full = fs.readFileSync(log.file, 'utf8')
left = 0
log.write({ n: 3 })
found.is_flushed.push(log.flush())
left = Infinity
found.is_flushed.push(log.flush())
log.write({ n: 4 })
found.after = fs.readFileSync(log.file, 'utf8')
found.files = log.files().length
console.log(JSON.stringify(found))
