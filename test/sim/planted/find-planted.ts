import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { PlantedBug } from './planted-bugs.ts'

export interface Search {
  /** The violation that was found; undefined: none. */
  found: string | undefined
  seeds: number
  seconds: number
}

/** The root of this repository. */
const ROOT = resolve(import.meta.dirname, '../../../..')
const MAX_SEEDS = 60
/** A bug may make the simulated service turn in a circle. That is no find. */
const TIMEOUT_MS = 600_000

/** Plants a bug into a copy of the compiled service, and lets the simulator look for it. */
export async function findPlanted({ file, text, replacement }: PlantedBug, maxSeeds = MAX_SEEDS): Promise<Search> {
  const folder = mkdtempSync(join(tmpdir(), 'muster-planted-'))
  const startedAt = performance.now()
  try {
    mkdirSync(join(folder, 'dist'))
    for (const part of ['src', 'test/sim', 'test/helpers']) {
      cpSync(join(ROOT, 'dist', part), join(folder, 'dist', part), { recursive: true })
    }
    cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'))
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    const target = join(folder, 'dist/src', `${file}.js`)
    writeFileSync(target, replaceOnce(readFileSync(target, 'utf8'), text, replacement))
    const output = await run(join(folder, 'dist/test/sim/search.js'), String(maxSeeds))
    const { found, seeds } = JSON.parse(output) as Pick<Search, 'found' | 'seeds'>
    return { found, seeds, seconds: (performance.now() - startedAt) / 1000 }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @throws Error when the text does not occur exactly once */
export function replaceOnce(source: string, text: string, replacement: string): string {
  const parts = source.split(text)
  if (parts.length !== 2) throw new Error(`${JSON.stringify(text)} occurs ${parts.length - 1} times`)
  return parts.join(replacement)
}

/** @returns the standard output */
function run(script: string, maxSeeds: string): Promise<string> {
  return new Promise((done, fail) => {
    execFile(
      process.execPath,
      [script, maxSeeds],
      { timeout: TIMEOUT_MS, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        if (!error) done(stdout)
        else if (error.killed) done(JSON.stringify({ found: 'the simulated service turns in a circle', seeds: 0 }))
        else fail(new Error(stderr || error.message))
      }
    )
  })
}
