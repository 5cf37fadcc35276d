import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { CertificatePair } from '../ipc/messages.ts'

type Name = 'TLS_CERT' | 'TLS_KEY'

/** A certificate and its key, in PEM. */
export interface TlsFiles extends CertificatePair {
  /** In ms since 1970. */
  expiresAt: number
}

/**
 * Reads the files that TLS_CERT and TLS_KEY name, and checks that OpenSSL can serve them. No issue shows any of a key.
 * @param given the variables by name; a PEM in the place of a path is removed, so that it is not shown elsewhere
 * @param pair is checked instead of the content of the files
 * @returns undefined when the variables are unset or have an issue
 */
export function readTls(given: Record<string, string>, issues: string[], pair?: CertificatePair): TlsFiles | undefined {
  const { TLS_CERT, TLS_KEY } = given
  if (TLS_CERT === undefined && TLS_KEY === undefined) return undefined
  if (TLS_CERT === undefined) issues.push('TLS_CERT: must be set, since TLS_KEY is')
  if (TLS_KEY === undefined) issues.push('TLS_KEY: must be set, since TLS_CERT is')
  const cert = pair?.cert ?? readPem(given, 'TLS_CERT', issues)
  const key = pair?.key ?? readPem(given, 'TLS_KEY', issues)
  const certificate =
    cert && parse(() => new X509Certificate(cert), `TLS_CERT: ${TLS_CERT} contains no certificate`, issues)
  const privateKey =
    key &&
    parse(() => createPrivateKey(key), `TLS_KEY: ${TLS_KEY} contains no private key without a passphrase`, issues)
  if (!cert || !key || !certificate || !privateKey) return undefined
  const issue = pairIssue({ cert, key }, certificate, privateKey, `${TLS_CERT}`, `${TLS_KEY}`)
  if (issue === undefined) return { cert, key, expiresAt: Date.parse(certificate.validTo) }
  issues.push(issue)
  return undefined
}

function readPem(given: Record<string, string>, name: Name, issues: string[]): string | undefined {
  const file = given[name]
  if (typeof file !== 'string') return undefined
  if (file.includes('-----BEGIN')) {
    issues.push(`${name}: must be the path of a file, not its content`)
    delete given[name]
    return undefined
  }
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    issues.push(`${name}: cannot be read: ${(error as Error).message}`)
    return undefined
  }
}

function parse<T>(parsePem: () => T, problem: string, issues: string[]): T | undefined {
  try {
    return parsePem()
  } catch (error) {
    issues.push(`${problem}: ${(error as Error).message}`)
    return undefined
  }
}

function pairIssue(
  { cert, key }: CertificatePair,
  certificate: X509Certificate,
  privateKey: KeyObject,
  certPath: string,
  keyPath: string
): string | undefined {
  if (!certificate.checkPrivateKey(privateKey)) {
    return `TLS_KEY: ${keyPath} does not fit: it is not the key of the first certificate in TLS_CERT`
  }
  try {
    // An import of node:tls takes time in every process; only services with TLS need it.
    process.getBuiltinModule('node:tls').createSecureContext({ cert, key })
    return undefined
  } catch (error) {
    return `TLS_CERT: ${certPath} and TLS_KEY cannot be served: ${(error as Error).message}`
  }
}
