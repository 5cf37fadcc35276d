import { basename, resolve } from 'node:path'
import { UsageError } from '../../config/sources/flags.ts'

/** What npm accepts for a new package: https://docs.npmjs.com/cli/configuring-npm/package-json#name */
const VALID = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/
const MAX_LENGTH = 214
/** npm refuses them, or Node has modules of its own by these names. */
const REFUSED = new Set(['node_modules', 'favicon.ico'])
const FALLBACK = 'app'

/** Makes a valid package name of a folder's own name: `My Shop!` becomes `my-shop`. */
export function packageNameOf(folder: string): string {
  const name = basename(resolve(folder))
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
    .slice(0, MAX_LENGTH)
  return name === '' || REFUSED.has(name) ? FALLBACK : name
}

/** @throws UsageError when npm would refuse the name */
export function checkPackageName(name: string): void {
  if (VALID.test(name) && name.length <= MAX_LENGTH && !REFUSED.has(name)) return
  throw new UsageError(
    `--name must be a package name of npm, such as my-shop or @me/my-shop, not ${JSON.stringify(name)}: lower-case letters, ` +
      'digits, ".", "_" and "-"'
  )
}
