import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, readdir, readFile, readlink, rename, stat, truncate, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { StartupError } from '../../src/common/errors.ts'
import { startEmbeddedRedis } from '../../src/primary/embedded-redis/run-redis.ts'
import { base, otherPrimary, redis, setting, start } from '../helpers/embedded-redis.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'

const get = async (socketPath: string, key: string) => (await redis(socketPath, `GET ${key}`)).split('\r\n')[1]

describe('the embedded Redis', { concurrency: true, timeout: 120_000 }, () => {
  test('answers on a private socket and has no TCP port', async (t) => {
    const { socketPath, options, pid } = await start(t)
    assert.equal(socketPath, join(options.runDir, 'redis.sock'))
    assert.equal((await stat(socketPath)).mode & 0o777, 0o600)
    assert.equal((await stat(join(options.runDir, 'redis'))).mode & 0o777, 0o700)
    assert.match(await redis(socketPath, 'INFO server'), /\r\ntcp_port:0\r\n/)

    const folder = `/proc/${pid()}/fd`
    const open = await Promise.all((await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => '')))
    const tcp = (await readFile('/proc/net/tcp', 'utf8')) + (await readFile('/proc/net/tcp6', 'utf8'))
    const inodes = open.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? [])
    assert.ok(inodes.length > 0)
    assert.deepEqual(
      inodes.filter((inode) => tcp.includes(` ${inode} `)),
      []
    )
  })

  test('keeps its data over a restart, and evicts only keys with a time to live', async (t) => {
    const one = await start(t)
    await redis(one.socketPath, 'SET greeting hello')
    await Promise.all([one.stop(), one.stop()])
    assert.equal(one.alive.size, 0)
    const two = await start(t, { runDir: one.options.runDir })
    assert.equal(await get(two.socketPath, 'greeting'), 'hello')
    assert.match(await redis(two.socketPath, 'CONFIG GET maxmemory-policy'), /volatile-ttl/)
    assert.ok(!two.lines.some(({ msg }) => msg.startsWith('ending')), 'a stopped server leaves nothing behind')
  })

  test('keeps every acknowledged write over kill -9, and restarts with a growing delay', async (t) => {
    const { socketPath, logged, pid, started } = await start(t)
    for (const restartInMs of [100, 200]) {
      await redis(socketPath, ...Array(1_000).fill('INCR hits'))
      // While the disk is behind, Redis holds its writes back.
      await until(async () => /aof_buffer_length:0\r/.test(await redis(socketPath, 'INFO persistence')), 'the disk')
      const [ended, back] = [logged('embedded Redis exited'), logged('embedded Redis restarted')]
      process.kill(pid(), 'SIGKILL')
      const line = await ended
      assert.deepEqual([line.level, line.end, line.restartInMs], [50, 'SIGKILL', restartInMs])
      assert.equal((await back).redisPid, pid())
    }
    assert.equal(started.length, 3)
    assert.equal(await get(socketPath, 'hits'), '2000')
  })

  test('a stop during the restart delay cancels the restart', async (t) => {
    const { stop, logged, pid, started, alive } = await start(t)
    const ended = logged('embedded Redis exited')
    process.kill(pid(), 'SIGKILL')
    await ended
    await stop()
    assert.equal(started.length, 1)
    assert.equal(alive.size, 0)
  })

  test('a stop during a restart ends the new server', async (t) => {
    const { stop, logged, pid, options, lines, alive } = await start(t)
    const again = new Promise((resolve) => {
      const { onPid } = options
      options.onPid = (pid, isAlive) => {
        onPid(pid, isAlive)
        if (isAlive) resolve(pid)
      }
    })
    const ended = logged('embedded Redis exited')
    process.kill(pid(), 'SIGKILL')
    await ended
    await again
    await stop()
    assert.equal(alive.size, 0)
    assert.equal(lines.filter(({ level }) => level >= 50).length, 1, 'only the kill is an error')
  })

  test('is killed when it does not end within 10 s of the stop', async (t) => {
    const { stop, pid, lines, alive } = await start(t)
    process.kill(pid(), 'SIGSTOP')
    await stop()
    assert.equal(alive.size, 0)
    assert.ok(lines.some(({ level, msg }) => level === 40 && msg.includes('killing it')))
  })

  test('loads an append-only file whose last write is incomplete', async (t) => {
    const one = await start(t)
    await redis(one.socketPath, 'SET kept yes', 'SET cut yes')
    await one.stop()
    const files = await readdir(join(one.options.runDir, 'redis'), { recursive: true })
    const file = join(
      one.options.runDir,
      'redis',
      files.find((name) => /appendonly\.aof(\.\d+\.incr\.aof)?$/.test(name))!
    )
    await truncate(file, (await stat(file)).size - 5)
    const two = await start(t, { runDir: one.options.runDir })
    assert.equal(await get(two.socketPath, 'kept'), 'yes')
    assert.equal(await redis(two.socketPath, 'EXISTS cut'), ':0\r\n')
  })

  test('takes over from the server of a killed primary', async (t) => {
    const { options } = await setting(t)
    const killed = otherPrimary(t, options)
    const { socketPath, pid } = await killed.ready
    await redis(socketPath, 'SET greeting hello')
    killed.child.kill('SIGKILL')
    await once(killed.child, 'exit')
    const leftover = connect(socketPath)
    await once(leftover, 'connect')

    const [taken] = await Promise.all([start(t, { runDir: options.runDir }), once(leftover.resume(), 'close')])
    assert.notEqual(taken.pid(), pid)
    assert.ok(taken.lines.some(({ level, msg }) => level === 40 && msg === 'stopping the Redis of a killed primary'))
    assert.match(await redis(socketPath, 'INFO server'), new RegExp(`process_id:${taken.pid()}\r\n`))
    assert.equal(await get(socketPath, 'greeting'), 'hello')
  })

  test('starts despite a stale socket file', async (t) => {
    const { options } = await setting(t)
    const path = join(options.runDir, 'redis.sock')
    const server = createServer().listen(path)
    await once(server, 'listening')
    await rename(path, `${path}.kept`) // a close would unlink it
    server.close()
    await once(server, 'close')
    await rename(`${path}.kept`, path)
    const { socketPath } = await start(t, options)
    assert.equal(await redis(socketPath, 'PING'), '+PONG\r\n')
  })

  test('the error contains the last output of a server that refuses to start', async (t) => {
    const { options, alive } = await setting(t)
    await mkdir(join(options.runDir, 'redis'))
    await writeFile(join(options.runDir, 'redis/appendonly.aof'), 'garbage\r\n')
    await assert.rejects(startEmbeddedRedis(options), (error) => {
      assert.ok(error instanceof StartupError)
      assert.match(error.message, /did not start \(1\)\. Its last output: .*Bad file format/)
      return true
    })
    assert.equal(alive.size, 0)
  })

  test('refuses a socket path that is too long for the system', async (t) => {
    const { options } = await setting(t, { runDir: join(base, 'x'.repeat(100)) })
    await assert.rejects(startEmbeddedRedis(options), /too long for a Unix socket/)
  })
})
