import { lstatSync, readFileSync, type Stats } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServiceStatus } from '../admin/command-context.ts'
import { printable } from '../common/text/printable.ts'
import { sendCommand } from './admin-client.ts'

const ADMIN_SOCKET = 'admin.sock'
/** The flag of a socket that listens, in /proc/net/unix. */
const LISTENS = '00010000'
const ANSWER_TIMEOUT_MS = 2000
const ROOT_UID = 0

/**
 * Returns the RUN_DIR of each service of this user, or of root, that runs on this host: the kernel lists all Unix sockets.
 * @param table in the format of /proc/net/unix; where there is no such file, no services are found
 */
export function runningServices(table = '/proc/net/unix'): string[] {
  // Number, references, protocol, flags, type, state, inode, path.
  const sockets = [...readIfThere(table).matchAll(/^\S+: \S+ \S+ (\S+) \S+ \S+ +\d+ (\/.*)$/gm)]
  const folders = sockets.flatMap(([, flags, path = '']) =>
    flags === LISTENS && path.endsWith(`/${ADMIN_SOCKET}`) ? dirname(path) : []
  )
  return [...new Set(folders)].filter(isRunDirOfThisUser).sort()
}

/** Whether only this user or root can have made the admin socket of a RUN_DIR, so that commands reach no other user. */
export function isRunDirOfThisUser(runDir: string): boolean {
  const isPrivate = (stats: Stats | undefined) => stats !== undefined && isOwn(stats) && (stats.mode & 0o022) === 0
  const statsOf = (name: string) => lstatSync(join(runDir, name), { throwIfNoEntry: false })
  try {
    return isPrivate(statsOf('')) && isPrivate(statsOf('muster.pid')) && statsOf(ADMIN_SOCKET)?.isSocket() === true
  } catch {
    return false
  }
}

/** Whether a file belongs to this user or to root. */
export const isOwn = ({ uid }: Stats): boolean => uid === process.geteuid?.() || uid === ROOT_UID

/** Describes services in one line each: process, address, folder, and the flag that names it. */
export async function describeServices(runDirs: readonly string[]): Promise<string> {
  return (await Promise.all(runDirs.map(describeService))).join('\n')
}

export async function describeService(runDir: string): Promise<string> {
  const status = await Promise.race([statusOf(runDir), timeout()])
  const facts = status
    ? [`pid ${status.pid}`, status.url ?? [], status.folder ? `folder ${status.folder}` : []].flat()
    : [`pid ${readIfThere(join(runDir, 'muster.pid')).trim()}, does not answer`]
  return printable(`${facts.join(', ')}: --run-dir ${runDir}`)
}

/** @returns undefined when the service does not answer with a status */
export async function statusOf(runDir: string): Promise<ServiceStatus | undefined> {
  try {
    const answer = await sendCommand(join(runDir, ADMIN_SOCKET), 'status', {})
    return 'result' in answer ? (answer.result as ServiceStatus) : undefined
  } catch {
    return undefined
  }
}

const timeout = () => sleep(ANSWER_TIMEOUT_MS, undefined, { ref: false })

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
