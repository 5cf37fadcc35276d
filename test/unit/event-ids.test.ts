import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventIds } from '../../src/worker/transfer/event-ids.ts'
import { Random } from '../helpers/random.ts'

const idAfter = (...chunks: (string | Buffer)[]) => {
  const ids = new EventIds()
  for (const chunk of chunks) ids.write(chunk)
  return ids
}

test('the id is that of the last event that is complete', () => {
  assert.equal(idAfter('id: 1\ndata: a\n\n').lastId, '1')
  assert.equal(idAfter('id: 1\ndata: a\n\nid: 2\ndata: b\n').lastId, '1')
  assert.equal(idAfter('id: 1\n\ndata: b\n\n').lastId, '1', 'an event without an id keeps the last one')
  assert.equal(idAfter('id: 1\n\nid\n\n').lastId, '', 'an empty id resets it')
  assert.equal(idAfter('id: 1\n\nid: 2\0\n\n').lastId, '1', 'an id with NUL is ignored')
  assert.equal(idAfter('id:  1 \n\nidea: 2\n\n: id: 3\n\n').lastId, ' 1 ', 'one space is dropped')
  assert.equal(new EventIds('7').lastId, '7')
})

test('it knows whether an event is being written', () => {
  assert.equal(idAfter().betweenEvents, true)
  assert.equal(idAfter('data: a\n').betweenEvents, false)
  assert.equal(idAfter('data: a\n\n').betweenEvents, true)
  assert.equal(idAfter('data: a\n\n: comment\n').betweenEvents, true)
  assert.equal(idAfter('data: a\n\n: comm').betweenEvents, false)
  assert.equal(idAfter('data: a\r\n\r').betweenEvents, true)
})

test('an id in any encoding is sent as the bytes that the client got', () => {
  const bytes = Buffer.from('ü').toString('latin1')
  assert.equal(idAfter('id: ü\n\n').lastId, bytes)
  assert.equal(idAfter(Buffer.from('id: ü\n\n')).lastId, bytes)
  const split = Buffer.from('id: ü\n\n')
  assert.equal(idAfter(split.subarray(0, 5), split.subarray(5)).lastId, bytes)
})

test('a line that is longer than a header is no id, and takes no memory', () => {
  const ids = idAfter(`id: 1\n\nid: ${'x'.repeat(2000)}\n\n`)
  assert.equal(ids.lastId, '1')
  for (let i = 0; i < 1000; i++) ids.write('data: '.padEnd(1000))
  assert.equal(ids.betweenEvents, false)
  ids.write('\nid: 2\n\n')
  assert.equal(ids.lastId, '2')
})

test('cut at any place and with any line ending, a stream has the same ids', () => {
  const random = new Random(1)
  for (let round = 0; round < 500; round++) {
    let stream = ''
    const ends: [at: number, id: string][] = [[0, '']]
    let id = ''
    for (let event = 0; event < 5; event++) {
      const eol = ['\n', '\r\n', '\r'][random.between(0, 2)]!
      if (random.chance(0.7)) {
        id = String(random.between(0, 999))
        stream += `id: ${id}${eol}`
      }
      stream += `data: x${eol}${eol}`
      ends.push([stream.length, id])
    }
    const ids = new EventIds()
    for (let at = 0; at < stream.length; ) {
      const next = Math.min(stream.length, at + random.between(1, 8))
      ids.write(stream.slice(at, next))
      at = next
      const [, expected] = ends.findLast(
        ([end]) => end <= at || (end === at + 1 && stream[at] === '\n' && stream[at - 1] === '\r')
      )!
      assert.equal(ids.lastId, expected, JSON.stringify([stream, at]))
    }
  }
})
