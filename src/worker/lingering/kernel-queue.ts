import { readFile, readlink } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { handleOf } from '../../node-internals/tcp-handle.ts'

const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6']
/** Positions of the columns in a line of these tables. */
const QUEUES = 4
const INODE = 9

/**
 * Reads how many bytes the kernel holds for each socket that the client has not acknowledged yet. The kernel takes megabytes
 * from this process at once; a client that reads slowly shows its progress only here, for up to a minute at 100 KiB/s.
 * @returns the sockets that were found: none on systems other than Linux, and none of TCP's where /proc is not readable
 */
export async function unacknowledgedBytes(sockets: readonly Socket[]): Promise<Map<Socket, number>> {
  const found = new Map<Socket, number>()
  const inodes = await inodesOf(sockets)
  if (inodes.size === 0) return found
  const tables = await Promise.all(TABLES.map((file) => read(file)))
  for (const line of tables.join('\n').split('\n')) {
    const columns = line.trim().split(/\s+/)
    const socket = inodes.get(columns[INODE] ?? '')
    if (socket) found.set(socket, Number.parseInt(columns[QUEUES]!, 16))
  }
  return found
}

/** @returns the sockets by the number that the kernel gives them */
async function inodesOf(sockets: readonly Socket[]): Promise<Map<string, Socket>> {
  const inodes = new Map<string, Socket>()
  for (const socket of sockets) {
    const fd = handleOf(socket)?.fd
    if (fd === undefined || fd < 0) continue
    const [, inode] = /^socket:\[(\d+)\]$/.exec(await readlink(`/proc/self/fd/${fd}`).catch(() => '')) ?? []
    if (inode !== undefined) inodes.set(inode, socket)
  }
  return inodes
}

const read = (file: string) => readFile(file, 'utf8').catch(() => '')
