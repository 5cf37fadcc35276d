import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Sample } from '../../bench/scenario.ts'
import { startRedis } from '../helpers/redis.ts'
import { temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

test('the bench counts broken streams and sockets per restart: none with muster, all with fastify.close', async (t) => {
  const { url } = await startRedis(t)
  const json = join(temporaryFolder(t), 'samples.json')
  const main = fileURLToPath(new URL('../../bench/main.js', import.meta.url))
  const args = [
    'reload',
    '--only',
    'muster,fastify.close',
    '--rounds',
    '1',
    '--timeout',
    '20',
    '--redis',
    url,
    '--json',
    json
  ]
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args])
  const { samples } = JSON.parse(readFileSync(json, 'utf8')) as { samples: Sample[] }
  const [muster, byHand] = samples

  assert.deepEqual(muster?.failures, {})
  const { answered, p99Ms, restartMs, ...broken } = muster.values
  assert.ok(answered! > 0 && p99Ms! > 0 && restartMs! > 0)
  assert.deepEqual(broken, { reopened: 0, streamsBroken: 0, missing: 0 })

  // A client whose next connection is at the other old worker is cut a second time.
  const { streamsBroken, ...counts } = byHand!.values
  const codes = Object.entries(counts).filter(([name]) => name.startsWith('socket '))
  const socketsBroken = codes.reduce((sum, [, times]) => sum + times, 0)
  assert.ok(streamsBroken! >= 10, `${streamsBroken} of 10 streams broke`)
  assert.ok(socketsBroken >= 20, `${socketsBroken} of 20 sockets broke`)
  assert.match(stdout, /^\| muster \|( [^|]* \|){4} 0\.0 \| 0\.0 \| 0 \|/m)
  const cells = new RegExp(
    `^\\| fastify.close \\|( [^|]* \\|){4} ${streamsBroken}\\.0 \\| ${socketsBroken}\\.0 \\(\\d+: `,
    'm'
  )
  assert.match(stdout, cells)
})
