import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'

const SYNC_MS = 1000

/**
 * Syncs every changed file below the folder to the disk once a second. Redis can do so itself with `appendfsync everysec`, but
 * while the disk is busy it then delays its writes for up to 2 s and answers nevertheless: acknowledged writes are lost when
 * it is killed. With `appendfsync no` Redis writes before it answers, and this process syncs. A killed Redis loses nothing, and
 * a power failure costs the last second or two, as with `everysec`.
 * @returns a function that stops this
 */
export function syncEverySecond(folder: string, log: Logger): () => void {
  /** The size and time of each file when it was last synced. */
  let synced = new Map<string, string>()
  let failed = false
  let timer: NodeJS.Timeout
  const syncAll = async (): Promise<void> => {
    const states = new Map<string, string>()
    try {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true })
      for (const entry of entries.filter((one) => one.isFile())) {
        const path = join(entry.parentPath, entry.name)
        states.set(path, await syncFile(path, synced.get(path)))
      }
      failed = false
    } catch (error) {
      // Redis deletes files while it rewrites them.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        if (!failed) log.error({ err: error }, 'append-only file not synced')
        failed = true
      }
    }
    synced = states
    timer = setTimeout(() => void syncAll(), SYNC_MS).unref()
  }
  timer = setTimeout(() => void syncAll(), SYNC_MS).unref()
  return () => clearTimeout(timer)
}

/** @param known the file's size and time when it was last synced @returns the same, now */
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
