import { hash as hashAtOnce } from 'node:crypto'
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, extname, join, sep } from 'node:path'

/** The code that a generation of workers runs. */
export interface Release {
  /** For people: the version of the nearest package.json and the first 8 digits of the hash. */
  readonly id: string
  /** Real path of the module that a worker process starts with. */
  readonly exec: string
  /** Real path of the user's module. */
  readonly app?: string
  /** SHA-256 of the code beside and below these modules, and of package.json and package-lock.json above them. */
  readonly hash: string
}

/** File name extensions that count as code. */
const CODE = new Set(['.js', '.mjs', '.cjs', '.json', '.node', '.wasm', '.ts', '.mts', '.cts', '.html', '.css'])
/** Further files of a folder are ignored. */
const MAX_FILES = 5000
const PACKAGE_FILES = ['package.json', 'package-lock.json']

/**
 * Remembers the release of each generation, and finds out whether it is still on disk. Symbolic links are resolved again each
 * time: a deploy that swaps a link leaves the old release in place, and one that overwrites files changes the hash.
 */
export class Releases {
  readonly #exec: string
  readonly #app: string | undefined
  readonly #byGeneration = new Map<number, Release>()
  /** Hashes of files by path. A file whose stat has not changed is not read again. */
  readonly #hashes = new Map<string, { stamp: string; hash: string }>()
  /** The hash of the code on disk at the last check, and since when it has been the same. */
  #last = { hash: '', at: 0 }

  /**
   * @param exec path of the module that a worker process starts with, links unresolved
   * @param app path of the user's module, links unresolved
   */
  constructor(exec: string, app: string | undefined) {
    this.#exec = exec
    this.#app = app
  }

  /** Remembers the code on disk as the release of a generation. @throws Error when a module does not exist */
  take(generation: number): Release {
    const release = this.now()
    this.#byGeneration.set(generation, release)
    return release
  }

  /** Reads the release that is on disk. @throws Error when a module does not exist */
  now(): Release {
    return this.#read(realpathSync(this.#exec), this.#app && realpathSync(this.#app))
  }

  /** @throws Error when the release of this generation was never taken, which is a bug */
  of(generation: number): Release {
    const release = this.#byGeneration.get(generation)
    if (!release) throw new Error(`generation ${generation} has no release`)
    return release
  }

  /** Returns whether a worker forked now would run this release. Assumed to be true while the code cannot be read. */
  isOnDisk({ exec, app, hash }: Release): boolean {
    try {
      return this.#read(exec, app).hash === hash
    } catch (error) {
      return !['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')
    }
  }

  /** Returns whether the code on disk has not changed for `ms`, so that no deploy is copying it. */
  isSettled(ms: number): boolean {
    try {
      const { hash } = this.now()
      if (this.#last.hash !== hash) this.#last = { hash, at: performance.now() }
    } catch {
      return false
    }
    return performance.now() - this.#last.at >= ms
  }

  /** Forgets the releases of generations before this one. */
  forgetBefore(generation: number): void {
    for (const known of this.#byGeneration.keys()) {
      if (known < generation) this.#byGeneration.delete(known)
    }
  }

  #read(exec: string, app: string | undefined): Release {
    let list = ''
    for (const module of [exec, app]) {
      if (module === undefined) continue
      const folder = dirname(module)
      list += `${this.#hashOf(module)} module\n`
      for (const name of codeIn(folder)) list += `${this.#hashOf(folder + sep + name)} ${name}\n`
      for (const file of packageFilesOf(folder)) list += `${this.#hashOf(file)} package\n`
    }
    const hash = sha256(list)
    const id = `${versionOf(app ?? exec)}-${hash.slice(0, 8)}`
    return { id, exec, hash, ...(app !== undefined && { app }) }
  }

  #hashOf(file: string): string {
    const { size, mtimeMs, ctimeMs, ino } = statSync(file)
    const stamp = `${size} ${mtimeMs} ${ctimeMs} ${ino}`
    const known = this.#hashes.get(file)
    if (known?.stamp === stamp) return known.hash
    const hash = sha256(readFileSync(file))
    this.#hashes.set(file, { stamp, hash })
    return hash
  }
}

/**
 * Lists the code files of a folder and below, relative to the folder, without dependencies and hidden folders, in an order that does not
 * depend on the file system.
 */
function codeIn(folder: string): string[] {
  const found: string[] = []
  /** Each with a separator at its end, the folder itself excepted. */
  const below = ['']
  for (let at = below.shift(); at !== undefined && found.length < MAX_FILES; at = below.shift()) {
    const entries = readdirSync(join(folder, at), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const entry of entries) {
      const { name } = entry
      if (entry.isFile() && isCode(name)) found.push(at + name)
      else if (entry.isDirectory() && !name.startsWith('.') && name !== 'node_modules') below.push(at + name + sep)
    }
  }
  return found.slice(0, MAX_FILES)
}

/** Whether what runs can depend on the file. On declarations of TypeScript, half of what a compiler writes, it does not. */
const isCode = (name: string) => CODE.has(extname(name)) && !/\.d\.[cm]?ts$/.test(name)

/** Returns package.json and the lock file of the package that a folder belongs to. */
function packageFilesOf(folder: string): string[] {
  for (let at = folder; ; at = dirname(at)) {
    const found = PACKAGE_FILES.map((name) => join(at, name)).filter((file) =>
      statSync(file, { throwIfNoEntry: false })
    )
    if (found.length > 0 || at === dirname(at)) return found
  }
}

function versionOf(module: string): string {
  const [file] = packageFilesOf(dirname(module))
  try {
    const { version } = JSON.parse(readFileSync(file ?? '', 'utf8')) as { version?: unknown }
    return typeof version === 'string' ? version : 'unversioned'
  } catch {
    return 'unversioned'
  }
}

const sha256 = (data: string | Buffer) => hashAtOnce('sha256', data)
