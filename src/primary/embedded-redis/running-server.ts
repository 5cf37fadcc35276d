import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServerOutput } from './server-output.ts'

/** A Redis server that this primary or another one has started. */
export interface Server {
  /** Undefined when no process could be created. */
  pid: number | undefined
  kill(signal: NodeJS.Signals): void
  /** Rejects when the server ended or was ended before it answered. */
  ready: Promise<void>
  /** Resolves with the exit code, the signal, or the error with which the server ended. Not of a server that was released. */
  exited: Promise<string | number>
  output: ServerOutput
  /** Leaves the server to another primary: this process does not watch it any more. */
  release(): void
}

const ANSWER_TIMEOUT_MS = 5000
const POLL_MS = 50

/**
 * Finds the server that listens on a Unix socket. It is no child of this process: a connection tells when it ends.
 * @returns undefined when no server answers
 */
export async function findRunningServer(
  socketPath: string
): Promise<(Omit<Server, 'ready' | 'output'> & { pid: number }) | undefined> {
  const watch = new AbortController()
  const { signal } = watch
  // A connection must not keep this process alive.
  const open = () =>
    connect({ path: socketPath, signal })
      .on('error', () => {})
      .unref()
  const socket = open()
  const pid = await askPid(socket)
  if (pid === undefined) {
    socket.destroy()
    return undefined
  }
  return {
    pid,
    kill: (signal) => {
      if (isAlive(pid)) process.kill(pid, signal)
    },
    exited: waitForEnd(socket, open, pid, signal),
    release: () => watch.abort()
  }
}

function askPid(socket: Socket): Promise<number | undefined> {
  return new Promise((resolve) => {
    let answer = ''
    const settle = () => {
      clearTimeout(timer)
      const digits = /^process_id:(\d+)/m.exec(answer)?.[1]
      resolve(digits === undefined ? undefined : Number(digits))
    }
    const timer = setTimeout(settle, ANSWER_TIMEOUT_MS)
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      answer += chunk
      if (/^process_id:\d+\r\n/m.test(answer)) settle()
    })
    socket.once('close', settle)
    socket.write('INFO server\r\n')
  })
}

/**
 * Resolves when the process has ended, but not after the signal. A client of an operator may close the connection alone: then another one
 * is opened.
 */
async function waitForEnd(first: Socket, open: () => Socket, pid: number, signal: AbortSignal): Promise<string> {
  for (let socket = first; ; socket = open()) {
    if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
    if (signal.aborted) return new Promise(() => {})
    if (!isAlive(pid)) return 'it ended'
    await sleep(POLL_MS, undefined, { ref: false })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
