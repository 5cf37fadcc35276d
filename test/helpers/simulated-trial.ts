import type { Measurement, PerQuantile } from '../../src/ipc/measurement.ts'
import { emptyMeasurement } from '../../src/verdict/measurement-recorder.ts'
import { binomial, normal, pareto, poisson } from './distributions.ts'
import type { Random } from './random.ts'

const MIB = 1_048_576

/** Connections of one kind: all have the same number of requests. Kinds differ, so the requests of a connection are alike. */
export interface UnitKind {
  /** The part of all traffic that comes from this kind. */
  weight: number
  requests: number
  errorRate: number
  slow: PerQuantile
  cpuMicros: number
}

/** A client that stays for the whole trial. Every worker may get some of them, by chance. */
export interface StayingClient {
  requestsPerSecond: number
  errorRate: number
  slow: PerQuantile
  cpuMicros: number
}

/** What traffic does, the same for all workers. */
export interface Traffic {
  /** To all workers together. */
  requestsPerSecond: number
  share: number
  kinds: readonly UnitKind[]
  staying: readonly StayingClient[]
  /** Load at a time, 1 on average. */
  loadAt(second: number): number
  /** Multiplies the shares of slow requests at a time: the database is slow. */
  slownessAt(second: number): number
}

/** How processes behave apart from traffic. All processes of a release do the same, each at its own times. */
export interface Behaviour {
  /** Multiplies the error rates. */
  errors: number
  /** Multiplies the odds of slow requests. */
  slow: PerQuantile
  /** Multiplies CPU time. */
  cpu: number
  stallsPerSecond: number
  /** Additional stalls of 200 ms. */
  blocksPerSecond: number
  leakPerRequest: number
  /** In this part of all seconds, 3 of 10 requests fail. */
  hiccups: number
  /** The standard deviation of CPU time between processes that run the same code. */
  cpuSpread: number
  /** How many seconds a process that is new needs to be fast. */
  warmUpSeconds: number
}

export const HEALTHY: Behaviour = {
  errors: 1,
  slow: [1, 1, 1],
  cpu: 1,
  stallsPerSecond: 0.02,
  blocksPerSecond: 0,
  leakPerRequest: 0,
  hiccups: 0.0005,
  cpuSpread: 0.02,
  warmUpSeconds: 20
}

interface KnownClient extends StayingClient {
  total: number
  slowTotal: PerQuantile
  failed: boolean
}

/** One worker that is measured. Draws counts instead of single requests, so 10,000 requests per second cost no more than one. */
export class SimulatedArm {
  readonly measurement: Measurement = emptyMeasurement()
  readonly #random: Random
  readonly #traffic: Traffic
  readonly #share: number
  readonly #behaviour: Behaviour
  readonly #staying: KnownClient[]
  readonly #processCpu: number
  readonly #warmMemory: number
  #wander = 0
  #cpuWander = 0
  #retained = 0
  #untilCollection: number

  /** @param share of new connections; for several workers together, the sum */
  constructor(
    random: Random,
    traffic: Traffic,
    share: number,
    behaviour: Behaviour,
    staying: readonly StayingClient[]
  ) {
    this.#random = random
    this.#traffic = traffic
    this.#share = share
    this.#behaviour = behaviour
    this.#staying = staying.map((client) => ({ ...client, total: 0, slowTotal: [0, 0, 0], failed: false }))
    this.#processCpu = Math.exp(behaviour.cpuSpread * normal(random))
    this.#warmMemory = 20 * MIB * (0.9 + 0.2 * random.next())
    this.#untilCollection = 1 + 9 * random.next()
  }

  /** Serves for one second, for the comparison of errors only: the rest of the figures stays 0. */
  stepErrors(): void {
    const { measurement } = this
    const second = measurement.seconds++
    const isHiccup = this.#random.chance(this.#behaviour.hiccups)
    for (const kind of this.#traffic.kinds) this.#countKind(kind, second, isHiccup)
    for (const client of this.#staying) this.#countClient(client, second, isHiccup)
  }

  /** Serves for one second. */
  step(): void {
    const random = this.#random
    const { measurement } = this
    const second = measurement.seconds
    measurement.seconds++
    const isHiccup = random.chance(this.#behaviour.hiccups)
    const isStalled = this.#stall()
    this.#wander = 0.8 * this.#wander + 0.06 * normal(random)
    const cold = 1 + 2 * Math.exp(-second / this.#behaviour.warmUpSeconds)
    const slowness = cold * this.#traffic.slownessAt(second) * Math.exp(this.#wander) * (isStalled ? 3 : 1)
    const before = measurement.requests
    let cpu = 0
    for (const kind of this.#traffic.kinds) cpu += this.#serveKind(kind, second, slowness, isHiccup)
    for (const client of this.#staying) cpu += this.#serveClient(client, second, slowness, isHiccup)
    this.#useCpu(cpu, cold)
    this.#useMemory(second, measurement.requests - before)
  }

  #serveKind(kind: UnitKind, second: number, slowness: number, isHiccup: boolean): number {
    const units = this.#countKind(kind, second, isHiccup)
    if (units === 0) return 0
    for (const i of [0, 1, 2] as const) this.#drawSlow(kind, i, units, slowness)
    return units * kind.requests * kind.cpuMicros
  }

  /** @returns the number of new connections */
  #countKind(kind: UnitKind, second: number, isHiccup: boolean): number {
    const { measurement } = this
    const rate = this.#traffic.requestsPerSecond * this.#share * this.#traffic.loadAt(second)
    const units = poisson(this.#random, (rate * kind.weight) / kind.requests)
    measurement.units += units
    measurement.requests += units * kind.requests
    measurement.unitSquares += units * kind.requests ** 2
    const errorRate = isHiccup ? 0.3 : Math.min(1, kind.errorRate * this.#behaviour.errors)
    measurement.failedUnits += binomial(this.#random, units, 1 - (1 - errorRate) ** kind.requests)
    return units
  }

  /** Draws how many units have 0, 1, 2 … slow requests. */
  #drawSlow(kind: UnitKind, index: 0 | 1 | 2, units: number, slowness: number): void {
    const probability = this.#slowShare(kind.slow[index], index, slowness)
    const sums = this.measurement.slow[index]
    const odds = probability / (1 - probability)
    let term = (1 - probability) ** kind.requests
    let rest = 1
    let left = units
    for (let slow = 0; slow <= kind.requests && left > 0; slow++) {
      const drawn = slow === kind.requests ? left : binomial(this.#random, left, term / rest)
      sums.requests += drawn * slow
      sums.squares += drawn * slow ** 2
      sums.products += drawn * slow * kind.requests
      left -= drawn
      rest = Math.max(1e-300, rest - term)
      term *= (odds * (kind.requests - slow)) / (slow + 1)
    }
  }

  #serveClient(client: KnownClient, second: number, slowness: number, isHiccup: boolean): number {
    const before = client.total
    const requests = this.#countClient(client, second, isHiccup)
    if (requests === 0) return 0
    for (const i of [0, 1, 2] as const) {
      const slowBefore = client.slowTotal[i]
      const slow = slowBefore + binomial(this.#random, requests, this.#slowShare(client.slow[i], i, slowness))
      const sums = this.measurement.slow[i]
      sums.requests += slow - slowBefore
      sums.squares += slow ** 2 - slowBefore ** 2
      sums.products += slow * client.total - slowBefore * before
      client.slowTotal[i] = slow
    }
    return requests * client.cpuMicros
  }

  /** @returns the number of new requests */
  #countClient(client: KnownClient, second: number, isHiccup: boolean): number {
    const { measurement } = this
    const requests = poisson(this.#random, client.requestsPerSecond * this.#traffic.loadAt(second))
    if (requests === 0) return 0
    if (client.total === 0) measurement.units++
    const errorRate = isHiccup ? 0.3 : Math.min(1, client.errorRate * this.#behaviour.errors)
    if (!client.failed && this.#random.chance(1 - (1 - errorRate) ** requests)) {
      client.failed = true
      measurement.failedUnits++
    }
    const total = client.total + requests
    measurement.requests += requests
    measurement.unitSquares += total ** 2 - client.total ** 2
    client.total = total
    return requests
  }

  #slowShare(share: number, index: 0 | 1 | 2, slowness: number): number {
    const odds = (share / (1 - share)) * slowness * this.#behaviour.slow[index]
    return odds / (1 + odds)
  }

  #stall(): boolean {
    const stalls = poisson(this.#random, this.#behaviour.stallsPerSecond)
    for (let i = 0; i < stalls; i++) {
      this.measurement.stalledMs += Math.min(2000, 20 * pareto(this.#random, 1.5))
    }
    const blocks = poisson(this.#random, this.#behaviour.blocksPerSecond)
    this.measurement.stalledMs += 200 * blocks
    return stalls + blocks > 0
  }

  #useCpu(micros: number, cold: number): void {
    this.#cpuWander = 0.8 * this.#cpuWander + 0.03 * normal(this.#random)
    const background = 2000 * (0.5 + this.#random.next())
    const noise = Math.exp(this.#cpuWander + 0.1 * normal(this.#random))
    this.measurement.cpuMicros += (background + micros * noise * cold) * this.#processCpu * this.#behaviour.cpu
  }

  /** Memory is seen only after a garbage collection, which comes earlier when there is more traffic. */
  #useMemory(second: number, requests: number): void {
    const random = this.#random
    this.#retained += requests * this.#behaviour.leakPerRequest + 0.1 * MIB * normal(random)
    this.#untilCollection -= 0.1 + Math.min(1, requests / 100)
    if (this.#untilCollection > 0) return
    this.#untilCollection = 5 + 10 * random.next()
    const warm = this.#warmMemory * (1 - Math.exp(-second / 60))
    this.measurement.memoryBytes = 40 * MIB + warm + this.#retained + MIB * Math.abs(normal(random))
  }
}
