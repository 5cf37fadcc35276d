import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { BenchError } from './command.ts'
import { type ServerSettings, startProgram } from './servers.ts'

/** Fork to ready of one worker, in ms: with nothing compiled, and with what the start before it left. */
export interface Boot {
  readonly coldMs: number
  readonly warmMs: number
  /** What node alone takes to load the packages that every worker is made of, and nothing else. */
  readonly packagesMs: number
}

/** Starts the service twice with one worker; the second time it finds the first one's compile cache. */
export async function measureBoot(settings: ServerSettings): Promise<Boot> {
  const cache = mkdtempSync(join(settings.folder, 'cache-'))
  const coldMs = await forkToReady(settings, cache)
  const warmMs = await forkToReady(settings, cache)
  const packages = fileURLToPath(new URL('./apps/packages.js', import.meta.url))
  const packagesMs = Number((await promisify(execFile)(process.execPath, [packages])).stdout)
  console.error(
    `boot: ${coldMs} ms, with a compile cache ${warmMs} ms; the packages alone ${Math.round(packagesMs)} ms`
  )
  return { coldMs, warmMs, packagesMs }
}

async function forkToReady(settings: ServerSettings, cache: string): Promise<number> {
  // the times are those of its log, at a level at which it says them
  const env = { LOG_LEVEL: 'info', XDG_CACHE_HOME: cache }
  const program = { name: 'boot', file: '../src/main.js', env }
  const running = await startProgram(program, { ...settings, workers: 1 })
  try {
    return await bootOf(running.log)
  } finally {
    // what was compiled is kept when the worker ends
    await running.stop()
  }
}

async function bootOf(log: string): Promise<number> {
  for (const deadline = Date.now() + 5000; Date.now() < deadline; await sleep(20)) {
    const lines = readFileSync(log, 'utf8').split('\n')
    const timeOf = (message: string) =>
      Number(/"time":(\d+)/.exec(lines.find((line) => line.includes(`"msg":"${message}"`)) ?? '')?.[1])
    const ms = timeOf('worker is ready') - timeOf('worker starts')
    if (Number.isFinite(ms)) return ms
  }
  throw new BenchError('The log does not say when a worker started and was ready.')
}
