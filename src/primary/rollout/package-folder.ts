import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Returns the folder of the package that a folder belongs to; the folder itself if there is no package.json above it. */
export function packageFolderOf(folder: string): string {
  for (let at = folder; at !== dirname(at); at = dirname(at)) if (existsSync(join(at, 'package.json'))) return at
  return folder
}
