import { DrillError } from '../drill-errors.ts'
import type { NumbersSeen, Observations, SessionSeen } from '../observations.ts'
import type { FoundRequests } from './find-requests.ts'
import { objectIn } from './parse-answer.ts'
import type { RequestRecorder } from './request-recorder.ts'
import type { DrillRequest } from './requests.ts'

/** Reads the numbers of the counter and of the session before the load and after it. */
export class ExactNumbers {
  readonly #recorder: RequestRecorder
  readonly #ofHits: DrillRequest | undefined
  readonly #ofSession: DrillRequest | undefined
  readonly #signOut: DrillRequest | undefined

  constructor(recorder: RequestRecorder, { requests, signOut }: FoundRequests) {
    this.#recorder = recorder
    this.#ofHits = requests.find(({ counts }) => counts !== undefined)
    this.#ofSession = requests.find(({ session }) => session !== undefined)
    this.#signOut = signOut
  }

  /** The first request of the session makes it, so that all clients send its cookie. @throws DrillError */
  async begin(): Promise<void> {
    if (!this.#ofSession) return
    await this.#recorder.sendOnce(this.#ofSession, this.#recorder.sessionJar).catch((error: Error) => {
      throw new DrillError(`the service does not answer ${this.#ofSession!.path}: ${error.message}`)
    })
  }

  /** To be called when no other request is in flight. */
  async end(): Promise<Pick<Observations, 'hits' | 'session'>> {
    const noAnswer = (error: Error) => `the last request got no answer: ${error.message}`
    const session = await this.#endSession().catch(noAnswer)
    return { session, hits: await this.#endHits().catch(noAnswer) }
  }

  async #endHits(): Promise<NumbersSeen | string> {
    if (!this.#ofHits) return 'no answer of the requests numbers hits: see `counts` of --requests'
    await this.#recorder.sendOnce(this.#ofHits)
    return this.#recorder.hits.read() ?? 'no request that counts was answered'
  }

  async #endSession(): Promise<SessionSeen | string> {
    if (!this.#ofSession)
      return 'no answer of the requests numbers the updates of a session: see `session` of --requests'
    await this.#recorder.sendOnce(this.#ofSession, this.#recorder.sessionJar)
    const seen = this.#recorder.session.read()
    if (!seen) return 'no request of the session was answered'
    const after = this.#signOut && (await this.#numberAfter(this.#signOut, this.#ofSession))
    return after === undefined ? seen : { ...seen, signOut: { before: this.#recorder.session.last!, after } }
  }

  /**
   * Signs the session out, and then uses its old cookie again.
   * @returns the number that the old cookie gets; undefined if the sign-out fails
   */
  async #numberAfter(signOut: DrillRequest, request: DrillRequest): Promise<number | undefined> {
    const old = this.#recorder.sessionJar.copy()
    const { status } = await this.#recorder.sendOnce(signOut, this.#recorder.sessionJar)
    if (status >= 400) return undefined
    const value = objectIn(await this.#recorder.sendOnce(request, old))?.[request.session ?? '']
    return typeof value === 'number' ? value : 0
  }
}
