import { readFileSync } from 'node:fs'

/** The package.json next to the code, or the nearest one above it. */
interface PackageInfo {
  homepage?: string
  repository?: string | { url?: string }
}

/** @returns where the documentation and the repository of a package are; empty texts where its package.json does not say so */
export function linksOf({ homepage = '', repository = '' }: PackageInfo): { docs: string; repository: string } {
  const url = typeof repository === 'string' ? repository : (repository.url ?? '')
  const web = url
    .replace(/^git\+/, '')
    .replace(/^(github:)?([\w.-]+\/[\w.-]+)$/, 'https://github.com/$2')
    .replace(/\.git$/, '')
  return { docs: webAddress(homepage), repository: webAddress(web) }
}

/** Other schemes, such as `javascript:`, are no links. */
const webAddress = (text: string): string => (/^https?:\/\//.test(text) ? text : '')

/** Reads the nearest package.json with a name. */
export function readPackage(from: URL): PackageInfo {
  for (let folder = new URL('.', from); ; folder = new URL('..', folder)) {
    const found = readJson(new URL('package.json', folder))
    if (found?.name || folder.pathname === '/') return found ?? {}
  }
}

function readJson(file: URL): (PackageInfo & { name?: string }) | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}
