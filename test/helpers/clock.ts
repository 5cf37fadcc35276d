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
