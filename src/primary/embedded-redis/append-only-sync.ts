import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'

const SYNC_MS = 1000

/**
 * Syncs every file below the folder to the disk, once a second, when it has changed. Redis does so itself with
 * `appendfsync everysec`, but while the disk is busy it then holds its writes back, for up to 2 s, and answers all the same:
 * what it has answered is lost when it is killed. With `appendfsync no` it writes before it answers, and this process syncs:
 * a killed Redis loses nothing, and a machine that loses power loses the last second or two, as with `everysec`.
 * @returns a function that stops it
 */
export function syncEverySecond(folder: string, log: Logger): () => void {
  /** What each file was like when it was last synced. */
  let synced = new Map<string, string>()
  let failed = false
  let timer: NodeJS.Timeout
  const syncAll = async (): Promise<void> => {
    const seen = new Map<string, string>()
    try {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true })
      for (const entry of entries.filter((one) => one.isFile())) {
        const path = join(entry.parentPath, entry.name)
        seen.set(path, await syncFile(path, synced.get(path)))
      }
      failed = false
    } catch (error) {
      // Redis removes files while it rewrites them.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        if (!failed)
          log.error({ err: error }, 'the append-only file of the embedded Redis cannot be synced to the disk')
        failed = true
      }
    }
    synced = seen
    timer = setTimeout(() => void syncAll(), SYNC_MS).unref()
  }
  timer = setTimeout(() => void syncAll(), SYNC_MS).unref()
  return () => clearTimeout(timer)
}

/** @param known what it was like when it was last synced @returns what it is like now */
async function syncFile(path: string, known: string | undefined): Promise<string> {
  const file = await open(path, 'r')
  try {
    const { size, mtimeMs } = await file.stat()
    const state = `${size} ${mtimeMs}`
    if (state !== known) await file.datasync()
    return state
  } finally {
    await file.close()
  }
}
