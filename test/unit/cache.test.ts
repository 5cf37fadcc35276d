import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cache } from '../../src/state/shared/cache.ts'

/** Counts how often what was computed. */
function counting() {
  const made: string[] = []
  const get = (cache: Cache<string>, key: string) =>
    cache.get(key, () => {
      made.push(key)
      return `${key} ${made.length}`
    })
  return { made, get }
}

test('what is there is not computed again, until it is deleted or all is cleared', async () => {
  const cache = new Cache<string>({ max: 10, ttlMs: 60_000 })
  const { made, get } = counting()
  assert.equal(await get(cache, 'a'), 'a 1')
  assert.equal(await get(cache, 'a'), 'a 1')
  assert.equal(await get(cache, 'b'), 'b 2')
  cache.delete('a')
  assert.equal(await get(cache, 'a'), 'a 3')
  cache.clear()
  assert.equal(cache.size, 0)
  await get(cache, 'b')
  assert.deepEqual(made, ['a', 'b', 'a', 'b'])
})

test('the one that was not asked for longest goes when there is no room', async () => {
  const cache = new Cache<string>({ max: 2, ttlMs: 60_000 })
  const { made, get } = counting()
  for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) await get(cache, key)
  assert.deepEqual(made, ['a', 'b', 'c', 'b'])
  assert.equal(cache.size, 2)
})

test('an entry counts for its time, however often it is asked for', async () => {
  const cache = new Cache<string>({ max: 2, ttlMs: 60 })
  const { made, get } = counting()
  const began = performance.now()
  while (made.length < 2) {
    await get(cache, 'a')
    await sleep(5)
  }
  assert.ok(performance.now() - began >= 60, `${performance.now() - began} ms`)
})

test('a value that takes longer than its time is computed once at a time', async () => {
  const cache = new Cache<number>({ max: 2, ttlMs: 50 })
  let running = 0
  let made = 0
  const make = async () => {
    assert.equal(++running, 1, 'it is computed twice at the same time')
    await sleep(300)
    running--
    return ++made
  }
  const answers: Promise<number>[] = []
  const first = cache.get('a', make)
  while (made === 0) {
    answers.push(cache.get('a', make))
    await sleep(10)
  }
  assert.ok(answers.length > 5, `${answers.length} callers`)
  assert.deepEqual(new Set(await Promise.all([first, ...answers])), new Set([1]))
})

test('the time of an entry begins when its value is there', async () => {
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

test('who asks while it is being computed shares it, an error too, which is not kept', async () => {
  const cache = new Cache<number>({ max: 2, ttlMs: 60_000 })
  let tries = 0
  const make = async () => {
    await sleep(5)
    if (++tries === 1) throw new Error('not the first time')
    return tries
  }
  const first = await Promise.allSettled([cache.get('a', make), cache.get('a', make)])
  assert.deepEqual(
    first.map(({ status }) => status),
    ['rejected', 'rejected']
  )
  assert.deepEqual(await Promise.all([cache.get('a', make), cache.get('a', make)]), [2, 2])
  await assert.rejects(
    cache.get('b', () => {
      throw new Error('at once')
    }),
    /at once/
  )
  assert.equal(cache.size, 1)
})

test('what was begun before a clear is not kept after it', async () => {
  const cache = new Cache<string>({ max: 2, ttlMs: 60_000 })
  let finish = (_value: string) => {}
  const old = cache.get('a', () => new Promise<string>((resolve) => (finish = resolve)))
  cache.clear()
  assert.equal(await cache.get('a', () => 'new'), 'new')
  finish('old')
  assert.equal(await old, 'old')
  assert.equal(await cache.get('a', () => 'newer'), 'new')
})

test('a cache without bounds is refused', () => {
  for (const options of [
    { max: 0, ttlMs: 1 },
    { max: 1.5, ttlMs: 1 },
    { max: 1, ttlMs: 0 },
    { max: Number.NaN, ttlMs: Number.NaN }
  ]) {
    assert.throws(() => new Cache(options), /max of 1 or more/)
  }
})
