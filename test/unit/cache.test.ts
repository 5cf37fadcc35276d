import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cache } from '../../src/state/shared/cache.ts'

/** Records which keys were computed. */
function recording() {
  const computed: string[] = []
  const get = (cache: Cache<string>, key: string) =>
    cache.get(key, () => {
      computed.push(key)
      return `${key} ${computed.length}`
    })
  return { computed, get }
}

test('a cached value is not computed again until it is deleted or the cache is cleared', async () => {
  const cache = new Cache<string>({ max: 10, ttlMs: 60_000 })
  const { computed, get } = recording()
  assert.equal(await get(cache, 'a'), 'a 1')
  assert.equal(await get(cache, 'a'), 'a 1')
  assert.equal(await get(cache, 'b'), 'b 2')
  cache.delete('a')
  assert.equal(await get(cache, 'a'), 'a 3')
  cache.clear()
  assert.equal(cache.size, 0)
  await get(cache, 'b')
  assert.deepEqual(computed, ['a', 'b', 'a', 'b'])
})

test('the least recently used entry is removed when the cache is full', async () => {
  const cache = new Cache<string>({ max: 2, ttlMs: 60_000 })
  const { computed, get } = recording()
  for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) await get(cache, key)
  assert.deepEqual(computed, ['a', 'b', 'c', 'b'])
  assert.equal(cache.size, 2)
})

test('an entry expires after its ttl, however often it is used', async () => {
  const cache = new Cache<string>({ max: 2, ttlMs: 60 })
  const { computed, get } = recording()
  const began = performance.now()
  while (computed.length < 2) {
    await get(cache, 'a')
    await sleep(5)
  }
  assert.ok(performance.now() - began >= 60, `${performance.now() - began} ms`)
})

test('a value that takes longer than its ttl is not computed twice at the same time', async () => {
  const cache = new Cache<number>({ max: 2, ttlMs: 50 })
  let running = 0
  let computed = 0
  const compute = async () => {
    assert.equal(++running, 1, 'it is computed twice at the same time')
    await sleep(300)
    running--
    return ++computed
  }
  const answers: Promise<number>[] = []
  const first = cache.get('a', compute)
  while (computed === 0) {
    answers.push(cache.get('a', compute))
    await sleep(10)
  }
  assert.ok(answers.length > 5, `${answers.length} callers`)
  assert.deepEqual(new Set(await Promise.all([first, ...answers])), new Set([1]))
})

test('the ttl of an entry begins when its value is there', async () => {
  const cache = new Cache<string>({ max: 2, ttlMs: 10_000 })
  let finish = (_value: string) => {}
  const value = cache.get('a', () => new Promise<string>((resolve) => (finish = resolve)))
  const { now } = performance
  try {
    performance.now = () => now.call(performance) + 60_000
    finish('slow')
    await value
    assert.equal(await cache.get('a', () => 'again'), 'slow')
    performance.now = () => now.call(performance) + 80_000
    assert.equal(await cache.get('a', () => 'again'), 'again')
  } finally {
    performance.now = now
  }
})

test('callers during the computation share its result; an error is shared too, but not cached', async () => {
  const cache = new Cache<number>({ max: 2, ttlMs: 60_000 })
  let tries = 0
  const compute = async () => {
    await sleep(5)
    if (++tries === 1) throw new Error('not the first time')
    return tries
  }
  const first = await Promise.allSettled([cache.get('a', compute), cache.get('a', compute)])
  assert.deepEqual(
    first.map(({ status }) => status),
    ['rejected', 'rejected']
  )
  assert.deepEqual(await Promise.all([cache.get('a', compute), cache.get('a', compute)]), [2, 2])
  await assert.rejects(
    cache.get('b', () => {
      throw new Error('at once')
    }),
    /at once/
  )
  assert.equal(cache.size, 1)
})

test('a computation that began before a clear is not cached', async () => {
  const cache = new Cache<string>({ max: 2, ttlMs: 60_000 })
  let finish = (_value: string) => {}
  const old = cache.get('a', () => new Promise<string>((resolve) => (finish = resolve)))
  cache.clear()
  assert.equal(await cache.get('a', () => 'new'), 'new')
  finish('old')
  assert.equal(await old, 'old')
  assert.equal(await cache.get('a', () => 'newer'), 'new')
})

test('a cache without limits is rejected', () => {
  for (const options of [
    { max: 0, ttlMs: 1 },
    { max: 1.5, ttlMs: 1 },
    { max: 1, ttlMs: 0 },
    { max: Number.NaN, ttlMs: Number.NaN }
  ]) {
    assert.throws(() => new Cache(options), /max of 1 or more/)
  }
})
