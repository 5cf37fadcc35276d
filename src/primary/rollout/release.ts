import { createHash } from 'node:crypto'
import { type Dirent, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, extname, join, relative } from 'node:path'

/** The code that a generation of workers runs. */
export interface Release {
  /** For people: the version of the nearest package.json, and the beginning of the hash. */
  readonly id: string
  /** Real path of the module that a worker process starts with. */
  readonly exec: string
  /** Real path of the user's module. */
  readonly app?: string
  /** SHA-256 over the code beside and below these modules, and over package.json and package-lock.json above them. */
  readonly hash: string
}

/** What is code in a folder; and of a folder that holds more files than anybody's, only the first ones. */
const CODE = new Set(['.js', '.mjs', '.cjs', '.json', '.node', '.wasm', '.ts', '.mts', '.cts', '.html', '.css'])
const MAX_FILES = 5000
const PACKAGE_FILES = ['package.json', 'package-lock.json']

/**
 * Which code there is, and whether it is still the code that a generation started from. A path that leads over a symlink
 * is followed anew each time, so a deploy that swaps the link leaves the old release where it was; one that overwrites
 * files changes the hash.
 */
export class Releases {
  readonly #exec: string
  readonly #app: string | undefined
  readonly #byGeneration = new Map<number, Release>()
  /** Hashes of files as they were when they were read last; a file whose stat is the same is not read again. */
  readonly #known = new Map<string, { stamp: string; hash: string }>()

  /** What was on disk when it was looked at last, and since when. */
  #last = { hash: '', at: 0 }

  /** @param exec @param app the modules as they were named, links unresolved */
  constructor(exec: string, app: string | undefined) {
    this.#exec = exec
    this.#app = app
  }

  /** Remembers what is on disk now as the release of a generation. @throws Error when a module is not there */
  take(generation: number): Release {
    const release = this.now()
    this.#byGeneration.set(generation, release)
    return release
  }

  /** What is on disk now. @throws Error when a module is not there */
  now(): Release {
    return this.#read(realpathSync(this.#exec), this.#app && realpathSync(this.#app))
  }

  /** @throws Error when that generation was never taken, which would be a fault of ours */
  of(generation: number): Release {
    const release = this.#byGeneration.get(generation)
    if (!release) throw new Error(`generation ${generation} has no release`)
    return release
  }

  /** A worker that is forked now would run just this release; where that cannot be read now, it is taken for granted. */
  isOnDisk({ exec, app, hash }: Release): boolean {
    try {
      return this.#read(exec, app).hash === hash
    } catch (error) {
      return !['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')
    }
  }

  /** The code on disk has been the same for so long: nobody is in the middle of copying it. */
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
    for (const known of this.#byGeneration.keys()) if (known < generation) this.#byGeneration.delete(known)
  }

  #read(exec: string, app: string | undefined): Release {
    const hash = createHash('sha256')
    for (const module of [exec, app]) {
      if (module === undefined) continue
      const folder = dirname(module)
      hash.update(`${this.#hashOf(module)} module\n`)
      for (const file of codeIn(folder)) hash.update(`${this.#hashOf(file)} ${relative(folder, file)}\n`)
      for (const file of packageFilesOf(folder)) hash.update(`${this.#hashOf(file)} package\n`)
    }
    const digest = hash.digest('hex')
    const id = `${versionOf(app ?? exec)}-${digest.slice(0, 8)}`
    return { id, exec, hash: digest, ...(app !== undefined && { app }) }
  }

  #hashOf(file: string): string {
    const { size, mtimeMs, ctimeMs, ino } = statSync(file)
    const stamp = `${size} ${mtimeMs} ${ctimeMs} ${ino}`
    const known = this.#known.get(file)
    if (known?.stamp === stamp) return known.hash
    const hash = createHash('sha256').update(readFileSync(file)).digest('hex')
    this.#known.set(file, { stamp, hash })
    return hash
  }
}

/** Code files of a folder, in an order that does not depend on the file system; none of dependencies or hidden folders. */
function codeIn(folder: string): string[] {
  const found: string[] = []
  const folders = [folder]
  for (let next = folders.shift(); next !== undefined && found.length < MAX_FILES; next = folders.shift()) {
    const at = next
    const entries = readdirSync(at, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
    const is = (entry: Dirent) => !entry.name.startsWith('.') && entry.name !== 'node_modules'
    folders.push(...entries.filter((entry) => entry.isDirectory() && is(entry)).map(({ name }) => join(at, name)))
    found.push(
      ...entries.filter((entry) => entry.isFile() && CODE.has(extname(entry.name))).map(({ name }) => join(at, name))
    )
  }
  return found.slice(0, MAX_FILES)
}

/** package.json and the lock file of the package that a folder belongs to. */
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
