import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** Sets a variable to the content of the file that `<NAME>_FILE` names, without white space around it. */
export function replaceBySecretFile(given: Record<string, string>, name: string, issues: string[]): void {
  const file = given[`${name}_FILE`]
  if (typeof file !== 'string') return
  if (given[name]) {
    issues.push(`${name}: set either ${name} or ${name}_FILE, not both`)
    return
  }
  try {
    const secret = readFileSync(file, 'utf8').trim()
    if (secret) given[name] = secret
    else issues.push(`${name}_FILE: ${file} is empty`)
  } catch (error) {
    issues.push(`${name}_FILE: cannot be read: ${(error as Error).message}`)
  }
}

/** Replaces the path in REDIS_CA by the certificates in the file, in PEM. */
export function replaceRedisCa(given: Record<string, string>, issues: string[]): void {
  const file = given.REDIS_CA
  if (typeof file !== 'string') return
  try {
    const pem = readFileSync(file, 'utf8')
    new X509Certificate(pem)
    given.REDIS_CA = pem
  } catch (error) {
    issues.push(`REDIS_CA: ${file} contains no certificate: ${(error as Error).message}`)
    delete given.REDIS_CA
  }
}
