import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FrameTracker } from '../../src/worker/transfer/frame-tracker.ts'
import { Random } from '../helpers/random.ts'

interface FrameOptions {
  opcode?: number
  isLast?: boolean
  isMasked?: boolean
  length?: number
}

function frame({ opcode = 2, isLast = true, isMasked = true, length = 0 }: FrameOptions): Buffer {
  const size = length < 126 ? length : length < 65_536 ? 126 : 127
  const header = Buffer.from([(isLast ? 128 : 0) | opcode, (isMasked ? 128 : 0) | size])
  const extended = Buffer.alloc(size === 126 ? 2 : size === 127 ? 8 : 0)
  if (size === 126) extended.writeUInt16BE(length)
  if (size === 127) extended.writeBigUInt64BE(BigInt(length))
  return Buffer.concat([header, extended, Buffer.alloc(isMasked ? 4 : 0, 7), Buffer.alloc(length, 9)])
}

test('a frame that has not ended is kept as it came, with any length, mask and cut', () => {
  const random = new Random(7)
  for (let round = 0; round < 300; round++) {
    const frames = Array.from({ length: 6 }, () =>
      frame({
        isMasked: random.chance(0.5),
        length: [0, 1, 125, 126, 1000, 65_535, 65_536, 70_000][random.between(0, 7)]!
      })
    )
    const all = Buffer.concat(frames)
    const ends = frames.map((_, i) => frames.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0))
    const tracker = new FrameTracker()
    for (let at = 0; at < all.length; ) {
      const most = random.chance(0.3) ? 3 : 90_000
      const next = Math.min(all.length, at + random.between(1, most))
      tracker.read(all.subarray(at, next))
      at = next
      const start = ends.findLast((end) => end <= at) ?? 0
      assert.equal(tracker.restBytes, at - start)
      assert.ok(tracker.rest.equals(all.subarray(start, at)))
    }
  }
})

test('a message in several frames is known to be incomplete, also with control frames in between', () => {
  const tracker = new FrameTracker()
  const states = [
    frame({ opcode: 1, isLast: false }),
    frame({ opcode: 9 }),
    frame({ opcode: 0, isLast: false, length: 200 }),
    frame({ opcode: 10, length: 3 }),
    frame({ opcode: 0 }),
    frame({ opcode: 2 })
  ].map((bytes) => {
    tracker.read(bytes)
    return tracker.inMessage
  })
  assert.deepEqual(states, [true, true, true, true, false, false])
})

test('a close frame is known once it has ended', () => {
  const tracker = new FrameTracker()
  const bytes = frame({ opcode: 8, length: 2 })
  tracker.read(bytes.subarray(0, -1))
  assert.equal(tracker.isClosing, false)
  tracker.read(bytes.subarray(-1))
  assert.equal(tracker.isClosing, true)
})
