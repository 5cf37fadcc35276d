import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { StartupError } from '../../common/errors.ts'
import { readNoFollow, writeNoFollow } from '../../common/no-follow.ts'
import { socketAnswers } from '../../common/socket-answers.ts'

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants
const ROOT_UID = 0

/**
 * The folder of one primary: one primary per folder. The pid file is for people. A primary is alive if its admin socket answers,
 * because a pid may belong to another process by now (in a container it is always 1).
 */
export class RunDirectoryClaim {
  readonly #runDir: string
  readonly #pidFile: string
  readonly #adminSocket: string
  /** Whether the folder is this primary's. */
  isHeld = false

  constructor({ runDir, adminSocket }: { runDir: string; adminSocket: string }) {
    this.#runDir = runDir
    this.#pidFile = join(runDir, 'muster.pid')
    this.#adminSocket = adminSocket
  }

  /**
   * Creates the folder and claims it for this primary.
   * @throws StartupError when another primary runs on it, it cannot be written, or another user could have written to it
   */
  async take(): Promise<void> {
    const runDir = this.#runDir
    try {
      makeFolder(runDir)
      secureForThisUser(runDir)
      if (await socketAnswers(this.#adminSocket)) {
        const pid = readIfThere(this.#pidFile).trim()
        throw new StartupError(
          `another primary (pid ${pid}) runs on RUN_DIR ${runDir}: end it, or set RUN_DIR to another folder`
        )
      }
      rmSync(this.#adminSocket, { force: true })
      this.takeFromOther()
    } catch (error) {
      if (error instanceof StartupError) throw error
      throw new StartupError(`RUN_DIR ${runDir} cannot be written: ${(error as Error).message}`)
    }
  }

  /** Takes the folder from the primary that this one replaces, or that was to replace this one. */
  takeFromOther(): void {
    writeNoFollow(this.#pidFile, `${process.pid}\n`)
    this.isHeld = true
  }

  /** Leaves the folder to another primary. */
  leave(): void {
    this.isHeld = false
  }

  release(): void {
    if (!this.isHeld) return
    rmSync(this.#pidFile, { force: true })
    rmSync(this.#adminSocket, { force: true })
  }
}

/**
 * Creates a folder (0700) and its parents. The `recursive` option of Node's mkdirSync never returns on a file system that
 * refuses new folders with ENOENT, such as /proc.
 */
export function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })) return
  makeFolder(dirname(path))
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/**
 * Checks that no other user could have put a session secret, Redis data or a link into the folder, and sets its mode to 0700.
 * The folder and everything directly in it must belong to this user, and nothing in it may be a symbolic link. RUN_DIR itself
 * may be a link that root or this user made, as systemd's StateDirectory with DynamicUser is.
 * @throws StartupError
 */
function secureForThisUser(runDir: string): void {
  const uid = process.geteuid?.()
  const refuse = (path: string, why: string) => {
    throw new StartupError(`RUN_DIR ${runDir} is not safe: ${path} ${why}. Set RUN_DIR to a folder of this user's own.`)
  }
  const checkOwner = (path: string, owner: number) => {
    if (uid !== undefined && owner !== uid) refuse(path, `belongs to the user ${owner}, and this is the user ${uid}`)
  }
  const link = lstatSync(runDir)
  if (link.isSymbolicLink() && link.uid !== ROOT_UID) checkOwner(runDir, link.uid)
  const folder = openSync(realpathSync(runDir), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  try {
    checkOwner(runDir, fstatSync(folder).uid)
    fchmodSync(folder, 0o700)
  } finally {
    closeSync(folder)
  }
  for (const name of readdirSync(runDir)) {
    const path = join(runDir, name)
    // A primary that runs on the folder may delete its files meanwhile.
    const entry = lstatSync(path, { throwIfNoEntry: false })
    if (entry?.isSymbolicLink()) refuse(path, 'is a symbolic link')
    if (entry) checkOwner(path, entry.uid)
  }
}

/** Returns the file of the generated secret that signs session cookies. It is created once, beside the data of the embedded Redis. */
export function sessionSecretFile(runDir: string): string {
  const file = join(runDir, 'session-secret')
  try {
    writeFileSync(file, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return file
}

function readIfThere(path: string): string {
  return statSync(path, { throwIfNoEntry: false }) ? readNoFollow(path).toString() : ''
}
