import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Settings } from './redis-server.ts'
import { temporaryFolder } from './service.ts'

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']

/** A certificate authority of the test's own. */
export class Authority {
  readonly #folder: string
  /** Its certificate, in PEM. */
  readonly file: string

  constructor(t: TestContext) {
    this.#folder = temporaryFolder(t)
    this.file = join(this.#folder, 'ca.pem')
    this.#openssl('req', '-x509', ...NEW_KEY, '-subj', '/CN=test-ca', '-keyout', 'ca.key', '-out', 'ca.pem')
  }

  /** Signs a certificate for these names. @returns the settings of a Redis that shows it and asks clients for none */
  certify(subjectAltName: string): Settings {
    writeFileSync(join(this.#folder, 'extensions'), `subjectAltName=${subjectAltName}\n`)
    this.#openssl('req', ...NEW_KEY, '-subj', '/CN=redis', '-keyout', 'redis.key', '-out', 'redis.csr')
    const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'extensions']
    this.#openssl('x509', '-req', '-in', 'redis.csr', ...signer, '-out', 'redis.pem')
    return {
      'tls-cert-file': join(this.#folder, 'redis.pem'),
      'tls-key-file': join(this.#folder, 'redis.key'),
      'tls-ca-cert-file': this.file,
      'tls-auth-clients': 'no'
    }
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.#folder, stdio: 'pipe' })
  }
}
