import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** For `skip`: which of these programs is not on PATH, false when all are. */
export function missing(...programs: string[]): string | false {
  const absent = programs.filter((name) => fileOf(name) === undefined)
  return absent.length > 0 && `${absent.join(', ')} not installed`
}

/** The file of a program on PATH. */
export function fileOf(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders.map((folder) => join(folder, name)).find(runs)
}

function runs(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
