import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Test apps that are not closed. When the process ends, their folders and servers are removed. */
const open = new Set<TestResources>()
let removesAtExit = false

/** What a test app has started and created. */
export class TestResources {
  /** A folder of this app alone, mode 0700. */
  readonly folder = mkdtempSync(join(tmpdir(), 'muster-test-'))
  readonly #releases: (() => unknown)[] = []
  readonly #servers = new Set<number>()
  #released: Promise<void> | undefined

  constructor() {
    open.add(this)
    if (!removesAtExit) process.once('exit', removeAll)
    removesAtExit = true
  }

  /** @param release is called by {@link release}, the last one first */
  add(release: () => unknown): void {
    this.#releases.push(release)
  }

  /** Notes that a server process has started, or has ended. */
  note(pid: number, alive: boolean): void {
    if (alive) this.#servers.add(pid)
    else this.#servers.delete(pid)
  }

  /** Releases everything and removes the folder. May be called twice. @throws the first error, after everything was released */
  release(): Promise<void> {
    this.#released ??= this.#releaseAll()
    return this.#released
  }

  /** For a process that exits without {@link release}. */
  removeNow(): void {
    for (const pid of this.#servers) process.kill(pid, 'SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #releaseAll(): Promise<void> {
    const errors: unknown[] = []
    for (const release of this.#releases.splice(0).reverse()) {
      try {
        await release()
      } catch (error) {
        errors.push(error)
      }
    }
    rmSync(this.folder, { recursive: true, force: true })
    open.delete(this)
    if (errors.length > 0) throw errors[0]
  }
}

function removeAll(): void {
  for (const resources of open) resources.removeNow()
}
