import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Settings } from './redis-server.ts'
import { temporaryFolder } from './service.ts'

const KEYS = { ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'], rsa: ['-newkey', 'rsa:2048'] }
const SHORT_LIVED = ['-nodes', '-days', '2']

/** A certificate authority of the test's own. */
export class Authority {
  readonly #folder: string
  /** Its certificate, in PEM. */
  readonly file: string

  constructor(t: TestContext) {
    this.#folder = temporaryFolder(t)
    this.file = join(this.#folder, 'ca.pem')
    this.#openssl(
      'req',
      '-x509',
      ...KEYS.ec,
      ...SHORT_LIVED,
      '-subj',
      '/CN=test-ca',
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem'
    )
  }

  /** Signs a certificate for these names. @returns the settings of a Redis that shows it and asks clients for none */
  certify(subjectAltName: string): Settings {
    const { cert, key } = this.sign('redis', subjectAltName)
    return {
      'tls-cert-file': cert,
      'tls-key-file': key,
      'tls-ca-cert-file': this.file,
      'tls-auth-clients': 'no'
    }
  }

  /** Makes a key and signs a certificate. @returns their files, which are named so */
  sign(
    name: string,
    subjectAltName = 'IP:127.0.0.1',
    days = 2,
    kind: keyof typeof KEYS = 'ec'
  ): { cert: string; key: string } {
    writeFileSync(join(this.#folder, 'extensions'), `subjectAltName=${subjectAltName}\n`)
    const newKey = [...KEYS[kind], ...SHORT_LIVED]
    this.#openssl('req', ...newKey, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`)
    const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'extensions']
    this.#openssl('x509', '-req', '-in', `${name}.csr`, ...signer, '-days', String(days), '-out', `${name}.pem`)
    return { cert: join(this.#folder, `${name}.pem`), key: join(this.#folder, `${name}.key`) }
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.#folder, stdio: 'pipe' })
  }
}
