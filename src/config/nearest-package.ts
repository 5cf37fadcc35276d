import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface PackageInfo {
  name?: string
  version?: string
  description?: string
}

/** Reads the package.json next to a module, or above it. */
export function nearestPackage(path: string): PackageInfo | undefined {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const found = readPackage(folder)
    if (found.name) return found
    if (folder === dirname(folder)) return undefined
  }
}

function readPackage(folder: string): PackageInfo {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  } catch {
    return {}
  }
}
