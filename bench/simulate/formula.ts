/**
 * Batches a second that one worker sends: one is in flight at a time and takes `roundTrip`; the next leaves with its answer
 * if anything has come meanwhile, or else with the first request, `1 / rate` later on average. Requests come at random
 * (Poisson), so that nothing comes within a round trip with the probability e^(-rate × roundTrip).
 * @param rate requests a second of this worker @param roundTrip from one batch to the next, in seconds: what a batch takes, and what
 *   the next one waits
 */
export function batchesPerSecond(rate: number, roundTrip: number): number {
  return rate > 0 ? 1 / (roundTrip + Math.exp(-rate * roundTrip) / rate) : 0
}

/**
 * The round trip, in seconds, once many workers share one Redis: that of the network, or the queue of the others' batches
 * when those alone keep Redis busy.
 * @param perScript seconds of Redis for one batch
 */
export function roundTripOf(workers: number, network: number, perScript: number): number {
  return Math.max(network + perScript, workers * perScript)
}
