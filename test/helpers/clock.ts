/**
 * Returns NODE_OPTIONS for a process, and those it starts, whose wall clock is wrong. Monotonic clocks and timers are right.
 * @param aheadMs how far it is ahead; negative: behind
 */
export function shiftedClock(aheadMs: number): string {
  const code = `const { now } = Date
globalThis.Date = class extends Date {
  constructor(...given) {
    super(...(given.length > 0 ? given : [now() + ${aheadMs}]))
  }
  static now() {
    return now() + ${aheadMs}
  }
}`
  return `--import=data:text/javascript,${encodeURIComponent(code)}`
}

/**
 * Returns NODE_OPTIONS for a process, and those it starts, whose wall clock a test shifts while they run. Monotonic clocks and timers
 * are right.
 * @param file contains how far the clock is ahead, in ms; each process reads it twice a second
 */
export function shiftableClock(file: string): string {
  const code = `import { readFileSync } from 'node:fs'
let aheadMs = 0
const read = () => {
  try {
    aheadMs = Number(readFileSync(${JSON.stringify(file)}, 'utf8'))
  } catch {}
}
read()
setInterval(read, 500).unref()
const { now } = Date
globalThis.Date = class extends Date {
  constructor(...given) {
    super(...(given.length > 0 ? given : [now() + aheadMs]))
  }
  static now() {
    return now() + aheadMs
  }
}`
  return `--import=data:text/javascript,${encodeURIComponent(code)}`
}
