import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { describe, test } from 'node:test'
import { StartupError } from '../../src/common/errors.ts'
import { startEmbeddedRedis } from '../../src/primary/embedded-redis/run-redis.ts'
import { cacheDir, newFolder, otherPrimary, PATH, redis, setting, start } from '../helpers/embedded-redis.ts'
import '../helpers/takes-long.ts'

/** A path without any Redis, as on a machine where none is installed. */
async function pathWithApt(): Promise<string> {
  const folder = await newFolder()
  await chmod(folder, 0o755)
  for (const name of ['apt-get', 'dpkg-deb']) await symlink(join('/usr/bin', name), join(folder, name))
  return folder
}

test('without Redis on the PATH, two concurrent starts unpack the package of the distribution', {
  timeout: 300_000
}, async (t) => {
  const path = await pathWithApt()
  const two = await Promise.all([start(t, { path }), start(t, { path })])
  for (const { socketPath } of two) assert.equal(await redis(socketPath, 'PING'), '+PONG\r\n')
  assert.deepEqual(await readdir(cacheDir), ['redis'], 'one whole cache and nothing half made')
  assert.ok(two[0].lines.some(({ msg, packages }) => msg === 'Redis packages downloaded' && Array.isArray(packages)))
  t.diagnostic(`unpacked in ${two.map(({ lines }) => lines.find(({ msg }) => msg.startsWith('unpacked'))?.ms)} ms`)

  const next = await start(t, { path: await pathWithApt() })
  assert.ok(!next.lines.some(({ msg }) => msg.includes('unpack')), 'the next start takes it from the cache')
})

describe('the embedded Redis', { concurrency: true, timeout: 120_000 }, () => {
  test('is unpacked and run by an unprivileged user, who replaces a broken cache', async (t) => {
    const uid = process.getuid?.() === 0 ? 65534 : undefined
    const cache = join(await newFolder(), 'cache')
    await mkdir(join(cache, 'redis/usr/bin'), { recursive: true })
    await writeFile(join(cache, 'redis/usr/bin/redis-server'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
    const { options } = await setting(t, { cacheDir: cache, path: await pathWithApt() })
    if (uid) execFileSync('chown', ['-R', String(uid), options.runDir, join(cache, '..')])
    const { child, ready } = otherPrimary(t, options, uid)
    const { socketPath } = await ready
    assert.equal((await stat(socketPath)).uid, uid ?? process.getuid?.())
    assert.equal(await redis(socketPath, 'PING'), '+PONG\r\n')
    assert.deepEqual(await readdir(cache), ['redis'])
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [0, null])
  })

  test('without a server and without a package, the error names the remedies', async (t) => {
    const { options } = await setting(t, { path: await newFolder(), cacheDir: await newFolder() })
    await assert.rejects(startEmbeddedRedis(options), (error) => {
      assert.ok(error instanceof StartupError)
      assert.match(error.message, /Install redis-server \(6\.2 or newer\) or valkey-server, or set REDIS_URL/)
      return true
    })
  })

  test('when the download of the package fails, the error says why', async (t) => {
    const path = await pathWithApt()
    await rm(join(path, 'apt-get'))
    await writeFile(join(path, 'apt-get'), '#!/bin/sh\necho "E: no network" >&2; exit 100\n', { mode: 0o755 })
    const { options } = await setting(t, { path, cacheDir: await newFolder() })
    await assert.rejects(startEmbeddedRedis(options), /failed \(E: no network; E: no network\)\. Install redis-server/)
    assert.deepEqual(await readdir(options.cacheDir), [])
  })

  test('skips a server that is too old or does not run', async (t) => {
    const folder = await newFolder()
    const old = '#!/bin/sh\necho "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=0"\n'
    await writeFile(join(folder, 'redis-server'), old, { mode: 0o755 })
    await writeFile(join(folder, 'valkey-server'), '#!/bin/sh\necho broken >&2; exit 1\n', { mode: 0o755 })
    const { lines, socketPath } = await start(t, { path: `${folder}${delimiter}${PATH}` })
    assert.ok(lines.some(({ msg, version }) => msg === 'Redis too old' && version === 'v=6.0.16'))
    assert.doesNotMatch(await redis(socketPath, 'INFO server'), /redis_version:6\.0\.16/)
    await assert.rejects(
      startEmbeddedRedis((await setting(t, { path: folder, cacheDir: folder })).options),
      StartupError
    )
  })
})
