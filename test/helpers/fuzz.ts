import fc from 'fast-check'
import { MAX_DEPTH } from '../../src/common/json-depth.ts'

/** `npm run fuzz` takes more. */
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 6)
/** Checked at a time, and in any case, however slow the machine. */
const BATCH = 25

/**
 * Checks inputs until its part of FUZZ_SECONDS is over; what fails is shown in its shortest form, with its seed.
 * @returns how many there were
 */
export async function fuzz<T>(part: number, input: fc.Arbitrary<T>, check: (input: T) => unknown): Promise<number> {
  const end = performance.now() + SECONDS * part * 1000
  let runs = 0
  const property = fc.asyncProperty(input, async (given) => {
    runs++
    await check(given)
  })
  // The same ones each time in `npm test`, so that what fails there fails for everybody; new ones in a search.
  let seed = process.env.FUZZ_SECONDS === undefined ? 1 : Date.now() | 0
  do await fc.assert(property, { numRuns: BATCH, seed: seed++ })
  while (performance.now() < end)
  return runs
}

/** As deep as anything from outside may be. */
const nested = fc.integer({ min: 1, max: MAX_DEPTH }).map((depth): unknown => {
  const text = `${'['.repeat(depth)}${']'.repeat(depth)}`
  return JSON.parse(text)
})
const words = fc.constantFrom('__proto__', 'constructor', 'toString', '', '\0', '-1', '1e999', 'NaN', '\u{10ffff}')

/** What JSON can say, and what people would rather not read. */
export const anyJson: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  { weight: 2, arbitrary: words },
  { weight: 2, arbitrary: fc.dictionary(fc.oneof(words, fc.string()), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 4 }) },
  { weight: 1, arbitrary: nested }
)

/** One of these with some of its fields others, gone, or new. */
export const mutated = (right: fc.Arbitrary<object>): fc.Arbitrary<Record<string, unknown>> =>
  fc
    .tuple(right, fc.array(fc.tuple(fc.nat(9), fc.option(anyJson, { nil: undefined }), fc.string()), { maxLength: 3 }))
    .map(([object, changes]) => {
      const result: Record<string, unknown> = { ...object }
      for (const [at, value, name] of changes) result[Object.keys(object)[at] ?? name] = value
      return result
    })
