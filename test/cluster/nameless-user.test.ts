import assert from 'node:assert/strict'
import { chownSync } from 'node:fs'
import { test } from 'node:test'
import { missing } from '../helpers/programs.ts'
import { muster, startService, temporaryFolder } from '../helpers/service.ts'

/** No system has a user with this id. */
const UID = 54321
const skip = process.getuid?.() === 0 ? missing('setpriv') : 'only root can become another user'

test('the service runs as a user that has no name, as in a container with another user id', { skip }, async (t) => {
  const runDir = temporaryFolder(t)
  chownSync(runDir, UID, UID)
  const launcher = `setpriv --reuid ${UID} --regid ${UID} --clear-groups`
  const service = await startService(t, { launcher, runDir, env: { HOME: runDir }, workers: 1 })
  assert.equal((await fetch(`${service.url}/readyz`)).status, 200)
  assert.equal((await muster(service, 'scale', '2')).code, 0)
  const { stdout } = await muster(service, 'audit', '--json')
  assert.match(stdout, /"uid 54321"/)
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
})
