import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RpcError, RpcRefusal } from '../../src/ipc/channel.ts'
import { firstToAnswer, type WorkerPeer } from '../../src/primary/workers/broadcast-to-workers.ts'

/** A ready worker that answers pings like this. */
const peer = (slot: number, ping: () => Promise<unknown>) =>
  ({ slot, pid: slot, status: 'ready', channel: { request: ping } }) as unknown as WorkerPeer
const silent = () => Promise.reject(new RpcError('no answer in 1000 ms'))

test('the first worker that answers a ping is found', async () => {
  const peers = [peer(0, silent), peer(1, () => Promise.resolve(null))]
  assert.equal((await firstToAnswer(peers))?.slot, 1)
  assert.equal(await firstToAnswer([peer(0, silent)]), undefined)
  assert.equal(await firstToAnswer([]), undefined)
})

test('a worker that refuses a ping, because it has too many requests, is there', async () => {
  const busy = () => Promise.reject(new RpcRefusal('more than 32 requests at once'))
  assert.equal((await firstToAnswer([peer(0, silent), peer(1, busy)]))?.slot, 1)
})
