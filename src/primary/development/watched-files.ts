import { EventEmitter } from 'node:events'
import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

/** Editors write a file in several steps: a change is reported when nothing has changed for this time. */
const SETTLE_MS = 50
const CODE = /\.([cm]?[jt]sx?)$/
const PACKAGE_FILES = ['package.json', 'package-lock.json']

interface WatchedFilesEvents {
  /** Files have changed, were removed, or exist now. */
  change: [paths: string[]]
  /** A folder cannot be watched. */
  error: [error: Error]
}

/** Watches single files, and all files below some folders. Symbolic links are not followed. */
export class WatchedFiles extends EventEmitter<WatchedFilesEvents> {
  /** Whether a new file of code beside a watched one counts as a change, and so does what `npm install` writes. */
  seesNewCode = false
  /** The stamp of each file by its path. */
  readonly #files = new Map<string, string>()
  readonly #roots: string[] = []
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #changed = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  /** @param modifiedMs when the file was modified before it was used; a later time counts as a change */
  add(path: string, modifiedMs?: number): void {
    this.#watchFolder(dirname(path))
    const { stamp, mtimeMs } = stampOf(path)
    this.#files.set(path, stamp)
    if (modifiedMs !== undefined && modifiedMs !== mtimeMs) this.#report(path)
  }

  /** Watches all files below a folder, or a single file. */
  addPath(given: string): void {
    const path = resolve(given)
    if (statSync(path).isDirectory()) {
      this.#roots.push(path)
      this.#addFolder(path)
    } else this.add(path)
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  #addFolder(folder: string): void {
    this.#watchFolder(folder)
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (isIgnored(entry.name)) continue
      const path = join(folder, entry.name)
      if (entry.isDirectory()) this.#addFolder(path)
      else this.add(path)
    }
  }

  /** Watches a folder, or where it does not exist the nearest one above it that does. */
  #watchFolder(folder: string): void {
    if (this.#watchers.has(folder)) return
    try {
      const watcher = watch(folder, (_, name) => this.#onEvent(folder, name))
      watcher.on('error', () => this.#unwatch(folder))
      this.#watchers.set(folder, watcher)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT' && code !== 'ENOTDIR') this.emit('error', error as Error)
      else if (dirname(folder) !== folder) this.#watchFolder(dirname(folder))
    }
  }

  #unwatch(folder: string): void {
    this.#watchers.get(folder)?.close()
    this.#watchers.delete(folder)
  }

  #onEvent(folder: string, name: string | null): void {
    if (!isFolder(folder)) {
      // It was removed, and may come back.
      this.#unwatch(folder)
      this.#watchFolder(folder)
    }
    const path = name === null ? folder : join(folder, name)
    for (const file of this.#files.keys()) {
      if (file !== path && !file.startsWith(`${path}/`)) continue
      this.#watchFolder(dirname(file))
      this.#check(file)
    }
    if (!this.#files.has(path) && this.#isNewCode(path)) this.#report(path)
  }

  #isNewCode(path: string): boolean {
    if (isIgnored(basename(path))) return false
    if (this.#roots.some((root) => path.startsWith(`${root}/`))) {
      if (isFolder(path)) this.#addFolder(path)
      else this.#files.set(path, stampOf(path).stamp)
      return true
    }
    return this.seesNewCode && (CODE.test(path) || PACKAGE_FILES.includes(basename(path)))
  }

  #check(path: string): void {
    const { stamp } = stampOf(path)
    if (this.#files.get(path) === stamp) return
    this.#files.set(path, stamp)
    this.#report(path)
  }

  #report(path: string): void {
    this.#changed.add(path)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      const paths = [...this.#changed]
      this.#changed.clear()
      this.emit('change', paths)
    }, SETTLE_MS)
  }
}

const isIgnored = (name: string) => name.startsWith('.') || name === 'node_modules' || name.endsWith('~')
const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

/** Two writes in the same tick of the kernel's clock have the same time. `mtimeMs` is 0 when the file does not exist. */
function stampOf(path: string): { stamp: string; mtimeMs: number } {
  const { mtimeMs = 0, size = 0, ino = 0 } = statSync(path, { throwIfNoEntry: false }) ?? {}
  return { stamp: `${mtimeMs} ${size} ${ino}`, mtimeMs }
}
