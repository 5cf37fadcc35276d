import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { HostClients, noNamespaces, startNetwork } from '../helpers/network-hosts.ts'
import { startRedis } from '../helpers/redis.ts'
import { Deploys } from '../helpers/releases.ts'
import { muster, startService, temporaryFolder } from '../helpers/service.ts'
import { sizeOf } from '../helpers/sizes.ts'
import { allHosts, assertOneByOne, readyIn, reloadAll } from '../helpers/turns-taken.ts'

const rolls = sizeOf('ROLLS', 5)

test(`three hosts: releases (${rolls}) roll one host after another, a bad one stops at the first, a partition ends and heals; no request fails`, {
  skip: noNamespaces()
}, async (t) => {
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0')
  const hosts = await startNetwork(t, 3, {
    APP: deploys.app,
    ROLLOUT_LEASE: '1',
    HOST_HEARTBEAT: '500',
    BOOT_TIMEOUT: '120000',
    REDIS_TIMEOUT: '2000'
  })
  const services = hosts.map(({ service }) => service)
  const seen = await allHosts(services[0]!, (answer) => answer.hosts.length === 3 && readyIn(answer) === 6)
  assert.deepEqual(seen.hosts.map(({ host }) => host).sort(), ['web-1', 'web-2', 'web-3'])
  const clients = new HostClients(t, hosts, '/release')

  for (let i = 1; i <= rolls; i++) {
    deploys.deploy(`1.0.${i}`)
    const ends = await reloadAll(services)
    assert.deepEqual(
      ends.map(({ msg }) => msg),
      ['rollout done', 'rollout done', 'rollout done']
    )
    assertOneByOne(services)
  }

  deploys.deploy('2.0.0', 'throw new Error("a bad release")')
  const ends = await reloadAll(services)
  assert.deepEqual(ends.map(({ msg }) => msg).sort(), ['rollout failed', 'rollout refused', 'rollout refused'])
  const failed = hosts[ends.findIndex(({ msg }) => msg === 'rollout failed')]!
  for (const { msg, why } of ends) {
    if (msg === 'rollout refused')
      assert.match(String(why), new RegExp(`^release 2\\.0\\.0-\\w+ failed on ${failed.name}-`))
  }

  // Workers of this release are not ready before the gate opens, so the partition comes in the middle.
  deploys.deploy('3.0.0')
  const gate = join(temporaryFolder(t), 'closed')
  writeFileSync(gate, '')
  const wait = `import { existsSync } from 'node:fs'\nwhile (existsSync(${JSON.stringify(gate)})) await new Promise((resolve) => setTimeout(resolve, 50))\n`
  writeFileSync(deploys.app, wait + readFileSync(deploys.app, 'utf8'))
  const from = services.map(({ lines }) => lines.length)
  const ended = reloadAll(services)
  const holder = await Promise.any(
    services.map(async (service, i) => {
      await service.line(({ msg }) => msg === 'worker started', from[i])
      return i
    })
  )
  const others = services.filter((_, i) => i !== holder)
  hosts[holder]!.partition()
  const partitioned = await ended
  assert.equal(partitioned[holder]!.msg, 'rollout failed')
  assert.match(String(partitioned[holder]!.why), /^the rollout lease was lost: Redis did not renew it/)
  for (const [i, { msg, why }] of partitioned.entries()) {
    if (i === holder) continue
    assert.equal(msg, 'rollout refused')
    assert.match(
      String(why),
      new RegExp(`^${hosts[holder]!.name}-\\w+ began to roll out release 3\\.0\\.0-\\w+ .* has not reported the end`)
    )
  }
  const alone = await allHosts(services[holder]!, ({ hostsKnown }) => !hostsKnown)
  assert.deepEqual([alone.hosts.length, alone.hostsNote], [1, 'Redis is away, hosts unknown'])
  await allHosts(others[0]!, (answer) => answer.hosts.length === 2)
  assert.match(
    (await muster(services[holder]!, 'status')).stdout,
    /last reload: failed .*the rollout lease\s+was lost/s
  )

  hosts[holder]!.heal()
  await services[holder]!.line(
    ({ msg, state }) => msg === 'rollout outcome recorded' && state === 'ended',
    from[holder]
  )
  await allHosts(others[0]!, (answer) => answer.hosts.length === 3)
  rmSync(gate)
  assert.equal(existsSync(gate), false)
  assert.deepEqual(
    (await reloadAll(services)).map(({ msg }) => msg),
    ['rollout done', 'rollout done', 'rollout done']
  )
  assertOneByOne(services)
  const after = await allHosts(services[0]!, ({ hosts: list }) =>
    list.every(({ release }) => release.startsWith('3.0.0-'))
  )
  assert.equal(after.hosts.length, 3)

  await clients.stop()
  assert.deepEqual(clients.failures, [])
  assert.ok(clients.answered > 100 * (rolls + 3), `${clients.answered} answers`)
  t.diagnostic(`${clients.answered} answers`)
})

test('when the primary that rolls out is killed, the others refuse the release once its lease has ended', async (t) => {
  const { url } = await startRedis(t)
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0')
  const env = { REDIS_URL: url, APP: deploys.app, ROLLOUT_LEASE: '1', BOOT_TIMEOUT: '120000' }
  const rolling = await startService(t, { workers: 1, env })
  const waiting = await startService(t, { workers: 1, env })
  deploys.deploy('1.0.1')
  writeFileSync(
    deploys.app,
    `await new Promise(() => setInterval(() => {}, 1000))\n${readFileSync(deploys.app, 'utf8')}`
  )
  const from = rolling.lines.length
  rolling.child.kill('SIGHUP')
  await rolling.line(({ msg }) => msg === 'worker started', from)
  waiting.child.kill('SIGHUP')
  await waiting.line(({ msg }) => msg === 'rollout waits for its turn')
  rolling.child.kill('SIGKILL')
  const { why } = await waiting.line(({ msg }) => msg === 'rollout refused')
  assert.match(String(why), /began to roll out release 1\.0\.1-\w+ at \S+ and has not reported the end/)
})
