import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { descendants } from './measure.ts'

const running = new Set<ChildProcess>()
const folders = new Set<string>()
let reaper: ChildProcess | undefined

/** Kills the groups whose numbers it has read once its input ends: the bench's own end, even by kill -9. */
const reaping = 'while read group; do set -- "$@" "-$group"; done; [ $# -eq 0 ] || kill -s KILL -- "$@" 2>/dev/null'

/** Starts a program in a process group of its own; whatever becomes of the bench, the group ends with it. */
export function launch(command: string, args: string[], options: SpawnOptions): ChildProcess {
  watch()
  const child = spawn(command, args, { ...options, detached: true })
  running.add(child)
  reaper?.stdin?.write(`${child.pid}\n`)
  child.once('error', () => running.delete(child))
  return child
}

/** Makes a folder for this run only; it is removed when the bench ends. */
export function scratchFolder(): string {
  watch()
  const folder = mkdtempSync(join(tmpdir(), 'muster-bench-'))
  folders.add(folder)
  return folder
}

/** Asks with SIGTERM, waits `graceMs`, then kills what is left of the child, its group and its descendants. */
export async function stop(child: ChildProcess, graceMs = 10_000): Promise<void> {
  if (!running.has(child)) return
  const tree = treeOf(child)
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await Promise.race([exited, sleep(graceMs, undefined, { ref: false })])
  }
  killGroup(child, tree)
  running.delete(child)
}

function watch(): void {
  if (reaper) return
  reaper = spawn('sh', ['-c', reaping], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  reaper.unref()
  process.on('exit', () => {
    for (const child of running) killGroup(child, treeOf(child))
    for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  })
  for (const [signal, number] of [['SIGINT', 2] as const, ['SIGTERM', 15] as const, ['SIGHUP', 1] as const]) {
    process.on(signal, () => process.exit(128 + number))
  }
}

function treeOf(child: ChildProcess): number[] {
  return child.pid === undefined ? [] : descendants(child.pid)
}

function killGroup(child: ChildProcess, tree: number[]): void {
  if (child.pid === undefined) return
  for (const target of [-child.pid, ...tree]) {
    try {
      process.kill(target, 'SIGKILL')
    } catch {
      // already gone, which is what was asked
    }
  }
}
