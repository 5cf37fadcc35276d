/** After an answer the next batch waits for as many as there were before, for so long at most, in ms. */
const REGROUP_MS = 4

/**
 * What is asked in one turn of the event loop leaves as one batch. One batch is in flight at a time, and what comes meanwhile
 * is the next, together with those who have just been answered and ask again: so the load of Redis follows round trips, and
 * not requests.
 */
export class Batches<Item> {
  /** Who waits for the next batch, in the order in which they came. Who has given up may be taken out. */
  readonly waiting: Item[] = []
  readonly #send: (batch: Item[]) => Promise<() => void>
  readonly #most: number
  #underWay = false
  /** With so many the next batch is complete, and leaves; 0: it does not wait for anybody. */
  #expected = 0
  #leave = () => {}

  /**
   * @param send resolves with what tells all of the batch their answers, and never rejects
   * @param most of one batch: the others are the next
   */
  constructor(send: (batch: Item[]) => Promise<() => void>, most = Number.POSITIVE_INFINITY) {
    this.#send = send
    this.#most = most
  }

  add(item: Item): void {
    if (this.waiting.push(item) === this.#expected) this.#leave()
    if (this.#underWay) return
    this.#underWay = true
    // One turn: everything that the sockets readable in this turn ask for is one batch.
    setImmediate(() => void this.#fly())
  }

  async #fly(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, this.#most)
      const answer = await this.#send(batch)
      // All who asked during one flight, as far as one batch can take them: nobody waits for more.
      const expected = Math.min(batch.length + this.waiting.length, this.#most)
      answer()
      await this.#regroup(expected)
      this.#expected = 0
    }
    this.#underWay = false
  }

  /**
   * Who asks without a pause comes back right after the answer. Without this there would be two groups for ever, each of
   * which waits while the other is in flight: twice the batches for the same requests.
   */
  #regroup(expected: number): Promise<void> {
    if (this.waiting.length >= expected) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, REGROUP_MS)
      this.#expected = expected
      this.#leave = () => {
        clearTimeout(timer)
        // The rest of this turn comes along.
        setImmediate(resolve)
      }
    })
  }
}
