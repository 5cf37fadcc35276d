import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Cleans, cleanup } from '../helpers/cleanup.ts'

test('what a test began is undone from the last to the first, even after a failure, which is reported', async () => {
  const hooks: (() => unknown)[] = []
  const t = { after: (hook: () => unknown) => void hooks.push(hook) } as Cleans
  const undone: string[] = []
  cleanup(t, () => undone.push('folder'))
  cleanup(t, async () => {
    await Promise.resolve()
    undone.push('service')
  })
  cleanup(t, () => {
    throw new Error('no client')
  })
  await assert.rejects(async () => {
    for (const hook of hooks) await hook()
  }, /no client/)
  assert.deepEqual(undone, ['service', 'folder'])
})
