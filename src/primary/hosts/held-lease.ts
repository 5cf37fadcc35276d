import { LEASE_LOST, TRUSTED_PART, type TurnTimes } from './turn-rules.ts'

export interface HeldLeaseOptions {
  times: TurnTimes
  /** When the lease was asked for, in ms of `performance.now()`. */
  askedAt: number
  /** Resolves with false when the lease is lost; rejects when Redis cannot be asked. */
  renew: () => Promise<boolean>
  /** Called once. */
  onLost: (cause: string) => void
}

/** The rollout lease, renewed until it is ended or lost. */
export class HeldLease {
  readonly #options: HeldLeaseOptions
  #trustedUntil: number
  #timer: NodeJS.Timeout | undefined
  #expiry: NodeJS.Timeout | undefined
  #isOver = false

  constructor(options: HeldLeaseOptions) {
    this.#options = options
    this.#trustedUntil = options.askedAt + TRUSTED_PART * options.times.leaseMs
    this.#watchExpiry()
    this.#renewIn(options.times.leaseMs / 3)
  }

  end(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    clearTimeout(this.#expiry)
  }

  #renewIn(ms: number): void {
    this.#timer = setTimeout(() => void this.#renew(), ms)
  }

  async #renew(): Promise<void> {
    const { renew, times } = this.#options
    const askedAt = performance.now()
    try {
      const isRenewed = await renew()
      if (this.#isOver) return
      if (!isRenewed) return this.#lose('Redis does not know it any more')
      this.#trustedUntil = askedAt + TRUSTED_PART * times.leaseMs
      this.#watchExpiry()
      this.#renewIn(times.leaseMs / 3)
    } catch {
      if (!this.#isOver) this.#renewIn(times.pollMs)
    }
  }

  #watchExpiry(): void {
    clearTimeout(this.#expiry)
    const { leaseMs } = this.#options.times
    const cause = `Redis did not renew it in ${Math.round(TRUSTED_PART * leaseMs)} ms`
    this.#expiry = setTimeout(() => this.#lose(cause), this.#trustedUntil - performance.now())
  }

  #lose(cause: string): void {
    this.end()
    this.#options.onLost(`${LEASE_LOST}: ${cause}`)
  }
}
