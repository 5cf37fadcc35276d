import { randomBytes } from 'node:crypto'

/** OpenSSL's format: a name, an HMAC key and an AES key of 16 bytes each. */
const KEY_BYTES = 48

/** Keys of TLS session tickets. All workers use the same, so that a client can resume its session at any of them. */
export class TicketKeys {
  #current: Buffer

  /** @param current undefined: new keys */
  constructor(current: Buffer = randomBytes(KEY_BYTES)) {
    this.#current = current
  }

  get current(): Buffer {
    return this.#current
  }

  /** Replaces the keys, so that keys that leak later do not decrypt recorded sessions. @returns the new keys */
  renew(): Buffer {
    this.#current = randomBytes(KEY_BYTES)
    return this.#current
  }
}
