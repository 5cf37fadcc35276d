// `npm run slowhttptest`: runs slowhttptest (Debian: apt-get install slowhttptest) with slow heads, slow bodies and slow readers
// against a service with default timeouts. It measures how long slow clients are kept and how well other clients are served.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Good } from '../dist/test/helpers/good.js'
import { fixture } from '../dist/test/helpers/load.js'
import { startService } from '../dist/test/helpers/service.js'
import { clientsOf } from '../dist/test/helpers/slow-clients.js'

const ATTACKS = [
  ['slow heads', 500, 10, '/livez', '-H -i 1'],
  ['slow bodies', 500, 15, '/hits', '-B -i 1 -s 60000 -f application/json'],
  ['slow readers', 200, 30, '/much', '-X -w 512 -y 1024 -n 5 -z 32']
]
/** New connections a second. */
const RATE = 200

const ends = []
const t = { after: (end) => ends.unshift(end) }
try {
  const service = await startService(t, { env: { APP: fixture('much') } })
  const results = []
  for (const [attack, clients, timeout, path, args] of ATTACKS) {
    const good = new Good(t, service.port)
    const started = performance.now()
    const all = [...args.split(' '), '-c', clients, '-r', RATE, '-l', 120, '-p', 5, '-u', service.url + path]
    const child = spawn('slowhttptest', all.map(String), { stdio: 'ignore' })
    t.after(() => child.kill('SIGKILL'))
    const ended = once(child, 'exit')
    let most = 0
    let held = 0
    // Both of the others, and what slowhttptest itself probes with, come and go.
    do {
      await sleep(100)
      held = clientsOf(service.port).size
      most = Math.max(most, held)
    } while ((held > 5 || most < clients) && performance.now() - started < 90_000)
    const seconds = (performance.now() - started) / 1000
    child.kill('SIGKILL')
    await ended
    await good.stop()
    const allowed = clients / RATE + timeout + 2
    const p99 = good.percentile(0.99)
    const right = seconds <= allowed && p99 < 100 && good.failures.length === 0
    if (!right) process.exitCode = 1
    results.push({
      attack,
      'at once': most,
      'gone after, s': seconds.toFixed(1),
      'allowed, s': allowed,
      others: good.answered,
      failed: good.failures.length,
      'p99, ms': p99.toFixed(1),
      right
    })
  }
  console.table(results)
} finally {
  for (const end of ends) await end()
}
