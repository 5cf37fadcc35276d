import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** For `skip`: which of these programs is not on PATH, false when all are. */
export function missing(...programs: string[]): string | false {
  const absent = programs.filter(
    (name) => !(process.env.PATH ?? '').split(delimiter).some((folder) => runs(folder, name))
  )
  return absent.length > 0 && `${absent.join(', ')} not installed`
}

function runs(folder: string, name: string): boolean {
  try {
    accessSync(join(folder, name), constants.X_OK)
    return true
  } catch {
    return false
  }
}
