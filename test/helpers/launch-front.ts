import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type Cleans, cleanup } from './cleanup.ts'
import { until } from './until.ts'

/** A reverse proxy as a process. */
export interface FrontProcess {
  /** For messages. */
  name: string
  command: [program: string, ...args: string[]]
  /** Its folder, which also is its home. A file `log` there may say why it ended. */
  folder: string
  port: number
}

/** Starts a reverse proxy and waits until it accepts connections. It ends with the test. */
export async function launchFront(t: Cleans, { name, command, folder, port }: FrontProcess): Promise<void> {
  const [program, ...args] = command
  const env = { PATH: process.env.PATH, HOME: folder }
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], env })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  cleanup(t, () => end(child))
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended: ${stderr}${readLog(folder)}`)
    return accepts(port)
  }, name)
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

function readLog(folder: string): string {
  try {
    return readFileSync(join(folder, 'log'), 'utf8')
  } catch {
    return ''
  }
}
