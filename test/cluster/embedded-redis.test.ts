import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile
} from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, describe, type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { StartupError } from '../../src/errors.ts'
import { type EmbeddedRedisOptions, startEmbeddedRedis } from '../../src/primary/embedded-redis.ts'
import { until } from '../helpers/until.ts'

const PATH = process.env.PATH ?? ''
const base = await mkdtemp(join(tmpdir(), 'redis-'))
await chmod(base, 0o755)
after(() => rm(base, { recursive: true, force: true }))
const cacheDir = join(base, 'cache')
const newFolder = () => mkdtemp(join(base, 'run-'))

interface LogLine {
  level: number
  msg: string
  [key: string]: unknown
}

/** Everything a start is given, and what it tells: the processes alive and the log. Whatever still runs is killed. */
async function setting(t: TestContext, given: Partial<EmbeddedRedisOptions> = {}) {
  const alive = new Set<number>()
  const started: number[] = []
  const lines: LogLine[] = []
  const said = new EventEmitter().setMaxListeners(0)
  const write = (json: string) => {
    const line = JSON.parse(json) as LogLine
    lines.push(line)
    said.emit(line.msg, line)
  }
  const onPid = (pid: number, isAlive: boolean) => {
    if (isAlive) started.push(pid)
    alive[isAlive ? 'add' : 'delete'](pid)
  }
  t.after(() => {
    for (const pid of alive) process.kill(pid, 'SIGKILL')
  })
  const log = pino({ level: 'debug' }, { write })
  const options = { runDir: await newFolder(), cacheDir, path: PATH, log, onPid, ...given }
  /** The next log line with this text. */
  const logged = async (msg: string): Promise<LogLine> => (await once(said, msg))[0]
  return { options, alive, started, lines, logged }
}

async function start(t: TestContext, given: Partial<EmbeddedRedisOptions> = {}) {
  const told = await setting(t, given)
  const redis = await startEmbeddedRedis(told.options)
  t.after(() => redis.stop())
  return { ...told, ...redis, pid: () => told.started.at(-1)! }
}

/** The raw answers to inline commands. */
async function redis(socketPath: string, ...commands: string[]): Promise<string> {
  const socket = connect(socketPath).setEncoding('utf8')
  socket.write([...commands, 'QUIT', ''].join('\r\n'))
  let answer = ''
  for await (const chunk of socket) answer += chunk
  return answer.slice(0, -'+OK\r\n'.length)
}

const get = async (socketPath: string, key: string) => (await redis(socketPath, `GET ${key}`)).split('\r\n')[1]

/** A path without any Redis, as on a machine where none is installed. */
async function pathWithApt(): Promise<string> {
  const folder = await newFolder()
  await chmod(folder, 0o755)
  for (const name of ['apt-get', 'dpkg-deb']) await symlink(join('/usr/bin', name), join(folder, name))
  return folder
}

/** A primary of its own, as another user if told so: the socket's path is its first line, and it runs until it is killed. */
function otherPrimary(t: TestContext, { runDir, cacheDir, path }: EmbeddedRedisOptions, uid?: number) {
  const module = new URL('../../src/primary/embedded-redis.js', import.meta.url)
  const script = `
    import { pino } from 'pino'
    import { startEmbeddedRedis } from ${JSON.stringify(module)}
    const given = ${JSON.stringify({ runDir, cacheDir, path })}
    const log = pino({ level: 'error' }, pino.destination(2))
    const { socketPath, stop } = await startEmbeddedRedis({ ...given, log, onPid(pid) { console.log(pid) } })
    process.once('SIGTERM', stop)
    console.log(socketPath)`
  const node = [process.execPath, '--input-type=module', '-e', script]
  const user = uid === undefined ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']
  const [file, ...args] = [...user, ...node]
  const child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const output = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async () => String((await output.next()).value)
  const ready = line().then(async (pid) => ({ pid: Number(pid), socketPath: await line() }))
  t.after(async () => {
    child.kill('SIGKILL')
    await ready.then(({ socketPath }) => redis(socketPath, 'SHUTDOWN NOSAVE')).catch(() => undefined)
  })
  return { child, ready }
}

test('without a Redis on the PATH the package of the distribution is unpacked, also by two starts at once', {
  timeout: 300_000
}, async (t) => {
  const path = await pathWithApt()
  const two = await Promise.all([start(t, { path }), start(t, { path })])
  for (const { socketPath } of two) assert.equal(await redis(socketPath, 'PING'), '+PONG\r\n')
  assert.deepEqual(await readdir(cacheDir), ['redis'], 'one whole cache and nothing half made')
  assert.ok(two[0].lines.some(({ msg, packages }) => msg === 'downloaded and unpacked' && Array.isArray(packages)))
  t.diagnostic(`unpacked in ${two.map(({ lines }) => lines.find(({ msg }) => msg.startsWith('unpacked'))?.ms)} ms`)

  const next = await start(t, { path: await pathWithApt() })
  assert.ok(!next.lines.some(({ msg }) => msg.includes('unpack')), 'the next start takes it from the cache')
})

describe('the embedded Redis', { concurrency: true, timeout: 120_000 }, () => {
  test('is unpacked and run by an unprivileged user too', async (t) => {
    const uid = process.getuid?.() === 0 ? 65534 : undefined
    const { options } = await setting(t, { cacheDir: join(await newFolder(), 'cache'), path: await pathWithApt() })
    for (const folder of [options.runDir, join(options.cacheDir, '..')]) if (uid) await chown(folder, uid, uid)
    const { child, ready } = otherPrimary(t, options, uid)
    const { socketPath } = await ready
    assert.equal((await stat(socketPath)).uid, uid ?? process.getuid?.())
    assert.equal(await redis(socketPath, 'PING'), '+PONG\r\n')
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [0, null])
  })

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

  test('keeps its data over a stop and a start, and evicts only what has a time to live', async (t) => {
    const one = await start(t)
    await redis(one.socketPath, 'SET greeting hello')
    await Promise.all([one.stop(), one.stop()])
    assert.equal(one.alive.size, 0)
    const two = await start(t, { runDir: one.options.runDir })
    assert.equal(await get(two.socketPath, 'greeting'), 'hello')
    assert.match(await redis(two.socketPath, 'CONFIG GET maxmemory-policy'), /volatile-ttl/)
    assert.ok(!two.lines.some(({ msg }) => msg.startsWith('ending')), 'a stopped server leaves nothing behind')
  })

  test('comes back with every acknowledged write after kill -9, each time later', async (t) => {
    const { socketPath, logged, pid, started } = await start(t)
    for (const restartInMs of [100, 200]) {
      await redis(socketPath, ...Array(1_000).fill('INCR hits'))
      // While the disk is behind, Redis holds its writes back.
      await until(async () => /aof_buffer_length:0\r/.test(await redis(socketPath, 'INFO persistence')), 'the disk')
      const [ended, back] = [logged('embedded Redis ended unasked'), logged('embedded Redis is back')]
      process.kill(pid(), 'SIGKILL')
      const line = await ended
      assert.deepEqual([line.level, line.end, line.restartInMs], [50, 'SIGKILL', restartInMs])
      assert.equal((await back).pid, pid())
    }
    assert.equal(started.length, 3)
    assert.equal(await get(socketPath, 'hits'), '2000')
  })

  test('a stop while it waits to start again cancels the start', async (t) => {
    const { stop, logged, pid, started, alive } = await start(t)
    const ended = logged('embedded Redis ended unasked')
    process.kill(pid(), 'SIGKILL')
    await ended
    await stop()
    assert.equal(started.length, 1)
    assert.equal(alive.size, 0)
  })

  test('a stop while it starts again ends it', async (t) => {
    const { stop, logged, pid, options, lines, alive } = await start(t)
    const again = new Promise((resolve) => {
      const { onPid } = options
      options.onPid = (pid, isAlive) => {
        onPid(pid, isAlive)
        if (isAlive) resolve(pid)
      }
    })
    const ended = logged('embedded Redis ended unasked')
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

  test('loads a file whose last write was cut off', async (t) => {
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
    assert.ok(taken.lines.some(({ level, msg }) => level === 40 && msg.startsWith('ending a Redis')))
    assert.match(await redis(socketPath, 'INFO server'), new RegExp(`process_id:${taken.pid()}\r\n`))
    assert.equal(await get(socketPath, 'greeting'), 'hello')
  })

  test('is not kept from starting by a socket file that nobody listens on', async (t) => {
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

  test('where no server is and none can be unpacked, the error names the ways out', async (t) => {
    const { options } = await setting(t, { path: await newFolder(), cacheDir: await newFolder() })
    await assert.rejects(startEmbeddedRedis(options), (error) => {
      assert.ok(error instanceof StartupError)
      assert.match(error.message, /Install redis-server \(6\.2 or newer\) or valkey-server, or set REDIS_URL/)
      return true
    })
  })

  test('where the package cannot be had, the error says why', async (t) => {
    const path = await pathWithApt()
    await rm(join(path, 'apt-get'))
    await writeFile(join(path, 'apt-get'), '#!/bin/sh\necho "E: no network" >&2; exit 100\n', { mode: 0o755 })
    const { options } = await setting(t, { path, cacheDir: await newFolder() })
    await assert.rejects(startEmbeddedRedis(options), /failed \(E: no network; E: no network\)\. Install redis-server/)
    assert.deepEqual(await readdir(options.cacheDir), [])
  })

  test('a server that is too old or does not run is passed over', async (t) => {
    const folder = await newFolder()
    const old = '#!/bin/sh\necho "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=0"\n'
    await writeFile(join(folder, 'redis-server'), old, { mode: 0o755 })
    await writeFile(join(folder, 'valkey-server'), '#!/bin/sh\necho broken >&2; exit 1\n', { mode: 0o755 })
    const { lines, socketPath } = await start(t, { path: `${folder}${delimiter}${PATH}` })
    assert.ok(lines.some(({ msg, version }) => msg.includes('older than 6.2') && version === 'v=6.0.16'))
    assert.doesNotMatch(await redis(socketPath, 'INFO server'), /redis_version:6\.0\.16/)
    await assert.rejects(
      startEmbeddedRedis((await setting(t, { path: folder, cacheDir: folder })).options),
      StartupError
    )
  })

  test('a broken cache is made anew', async (t) => {
    const cacheDir = await newFolder()
    await mkdir(join(cacheDir, 'redis/usr/bin'), { recursive: true })
    await writeFile(join(cacheDir, 'redis/usr/bin/redis-server'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
    const { socketPath } = await start(t, { path: await pathWithApt(), cacheDir })
    assert.equal(await redis(socketPath, 'PING'), '+PONG\r\n')
    assert.deepEqual(await readdir(cacheDir), ['redis'])
  })

  test('when the server refuses to start, its last words are in the error', async (t) => {
    const { options, alive } = await setting(t)
    await mkdir(join(options.runDir, 'redis'))
    await writeFile(join(options.runDir, 'redis/appendonly.aof'), 'garbage\r\n')
    await assert.rejects(startEmbeddedRedis(options), (error) => {
      assert.ok(error instanceof StartupError)
      assert.match(error.message, /did not come up \(1\)\. It said: .*Bad file format/)
      return true
    })
    assert.equal(alive.size, 0)
  })

  test('a socket path that the system would cut is refused', async (t) => {
    const { options } = await setting(t, { runDir: join(base, 'x'.repeat(100)) })
    await assert.rejects(startEmbeddedRedis(options), /too long for a Unix socket/)
  })
})
