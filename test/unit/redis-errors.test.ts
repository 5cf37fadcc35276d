import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe as group, type TestContext, test } from 'node:test'
import { createClient, type RedisClient } from '../../src/state/redis/redis-client.ts'
import {
  describeError,
  isSentinelFailure,
  isServerError,
  isUnsent,
  misconfiguration
} from '../../src/state/redis/redis-errors.ts'

const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' })

group('a reply that concerns the server or the user means that other commands will fail too', () => {
  const serverErrors = [
    "READONLY You can't write against a read only replica. script: 0a, on @user_script:9.",
    "ERR Error running script (call to f_0a): @user_script:9: -OOM command not allowed when used memory > 'maxmemory'.",
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    "ERR The user executing the script can't run this command or subcommand script: 0a, on @user_script:1.",
    "ERR ACL failure in script: User muster has no permissions to run the 'set' command script: 0a"
  ]
  for (const message of serverErrors) test(message, () => assert.ok(isServerError(reply(message))))
})

group('a reply that concerns one command says nothing about others', () => {
  const commandErrors = [
    'WRONGTYPE Operation against a key holding the wrong kind of value',
    "ERR unknown command 'x'",
    'STALE batch',
    'NOSCRIPT No matching script. Please use EVAL.',
    'MOVED 1 127.0.0.1:1'
  ]
  for (const message of commandErrors) test(message, () => assert.ok(!isServerError(reply(message))))
})

test('an error that is not a reply concerns the connection', () => {
  assert.ok(isServerError(new Error('Command timed out')))
  assert.ok(!isUnsent(new Error('Command timed out')))
  assert.ok(isUnsent(new Error("Stream isn't writeable and enableOfflineQueue options is false")))
})

test('the log gets the cause, and what the operator has to correct', () => {
  assert.equal(describeError(new Error('Command timed out'), 250), 'no answer within 250 ms')
  assert.equal(describeError(reply('LOADING Redis is loading'), 250), 'LOADING Redis is loading')
  assert.match(describeError(reply('WRONGPASS invalid'), 250), /REDIS_URL.*WRONGPASS invalid/)
  const expired = Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' })
  assert.match(misconfiguration(expired) ?? '', /REDIS_CA.*certificate has expired/)
  assert.equal(misconfiguration(reply('LOADING Redis is loading')), undefined)
})

/** The error texts of ioredis are private: these tests fail when a new version words them in another way. */
group('the errors of ioredis are recognised', () => {
  const errorOf = (client: RedisClient, key = 'key'): Promise<Error> =>
    client.get(key).then(
      () => assert.fail('Redis has answered'),
      (error: Error) => error
    )

  /** Connects until the first error. `connect()` itself retries forever, so it is not awaited. */
  function connectionErrorOf(client: RedisClient): Promise<Error> {
    return new Promise((resolve) => {
      client.once('error', resolve)
      client.connect().catch(() => {})
    })
  }

  function create(t: TestContext, url: string, timeoutMs = 1000): RedisClient {
    const client = createClient(url, { timeoutMs })
    client.on('error', () => {})
    t.after(() => client.disconnect())
    return client
  }

  /** A server that answers the handshake and nothing else, and cuts the connection when it reads `cut`. */
  async function startSilentServer(t: TestContext): Promise<string> {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', (data) => {
        if (data.includes('hello')) socket.write('%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n')
        if (data.includes('cut')) socket.destroy()
      })
      t.after(() => socket.destroy())
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    return `redis://127.0.0.1:${(server.address() as { port: number }).port}`
  }

  test('a command of a client without a connection was not sent', async (t) => {
    assert.ok(isUnsent(await errorOf(create(t, 'redis://127.0.0.1:1'))))
    assert.ok(isUnsent(await errorOf(create(t, 'redis+cluster://127.0.0.1:1'))))
  })

  test('a command whose connection is closed gets no cause', async (t) => {
    const client = create(t, await startSilentServer(t))
    await client.connect()
    assert.ok(isUnsent(await errorOf(client, 'cut')))
  })

  test('a command without an answer has timed out', async (t) => {
    const client = create(t, await startSilentServer(t))
    await client.connect()
    assert.equal(describeError(await errorOf(client), 1000), 'no answer within 1000 ms')
  })

  test('Sentinels that do not answer are told from a Redis that does not', async (t) => {
    const client = create(t, 'redis+sentinel://127.0.0.1:1/main')
    const sentinelError = once(client, 'sentinelError')
    const error = await connectionErrorOf(client)
    assert.ok(isSentinelFailure(error))
    assert.match(((await sentinelError)[0] as Error).message, /127\.0\.0\.1:1/)
  })

  test('a Cluster whose nodes do not answer says why', async (t) => {
    const client = create(t, 'redis+cluster://127.0.0.1:1')
    const error = await connectionErrorOf(client)
    assert.ok((error as { lastNodeError?: Error }).lastNodeError instanceof Error)
  })
})
