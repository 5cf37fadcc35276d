import { readTls } from '../../config/tls-files.ts'
import type { CertificatePair } from '../../ipc/messages.ts'

interface Paths {
  TLS_CERT: string
  TLS_KEY: string
}

/**
 * The certificate and key of each generation of workers. They are read again for each reload. A replacement within a
 * generation gets the pair of its generation, whatever is on disk by then.
 */
export class Certificates {
  readonly #paths: Paths
  readonly #byGeneration = new Map<number, CertificatePair>()

  /**
   * @param paths of the files, by the names of their settings
   * @param first the pair that was read at the start
   * @param generation the first one
   */
  constructor(paths: Paths, first: CertificatePair, generation = 1) {
    this.#paths = paths
    this.#byGeneration.set(generation, { cert: first.cert, key: first.key })
  }

  /** Reads the files for a new generation. @throws Error that describes the problem without any part of the key */
  take(generation: number): void {
    const issues: string[] = []
    const pair = readTls({ ...this.#paths }, issues)
    if (!pair) throw new Error(issues.join('; '))
    this.#byGeneration.set(generation, { cert: pair.cert, key: pair.key })
  }

  of(generation: number): CertificatePair | undefined {
    return this.#byGeneration.get(generation)
  }

  /** Forgets the pairs of generations before this one. */
  forgetBefore(generation: number): void {
    for (const known of this.#byGeneration.keys()) if (known < generation) this.#byGeneration.delete(known)
  }
}
