/** @returns numbers from 0 up to 1, without 1, which are the same for the same seed (mulberry32) */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A random number of events with this mean (Knuth; in parts, because e^-mean becomes 0 for a large mean). */
export function poisson(mean: number, random: () => number = Math.random): number {
  let events = 0
  for (let left = mean; left > 0; left -= 30) {
    const limit = Math.exp(-Math.min(left, 30))
    for (let product = random(); product > limit; product *= random()) events++
  }
  return events
}
