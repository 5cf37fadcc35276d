import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { StartupError } from '../errors.ts'

/**
 * Makes the folder and takes it for this primary: one primary per folder. The pid file tells people who it is; that it
 * lives is seen at its admin socket, since a number may be somebody else's by now (in a container it always is 1).
 * @returns gives the folder back
 * @throws StartupError when another primary has it, or it cannot be written
 */
export async function claimRunDir(runDir: string, adminSocket: string): Promise<() => void> {
  const pidFile = join(runDir, 'muster.pid')
  try {
    mkdirSync(runDir, { recursive: true, mode: 0o700 })
    chmodSync(runDir, 0o700)
    if (await answers(adminSocket)) {
      const pid = readFileSync(pidFile, { encoding: 'utf8', flag: 'a+' }).trim()
      throw new StartupError(
        `another primary (pid ${pid}) runs on RUN_DIR ${runDir}: end it, or set RUN_DIR to another folder`
      )
    }
    rmSync(adminSocket, { force: true })
    writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 })
  } catch (error) {
    if (error instanceof StartupError) throw error
    throw new StartupError(`RUN_DIR ${runDir} cannot be written: ${(error as Error).message}`)
  }
  return () => {
    rmSync(pidFile, { force: true })
    rmSync(adminSocket, { force: true })
  }
}

/** The file of the secret that signs session cookies when none was given; made once, beside the embedded Redis. */
export function sessionSecretFile(runDir: string): string {
  const file = join(runDir, 'session-secret')
  try {
    writeFileSync(file, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return file
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
