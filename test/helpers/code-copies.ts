import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Cleans } from './cleanup.ts'
import { temporaryFolder } from './service.ts'

/** The checkout. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
/** What the previous version is built from; the fixtures are apps. */
const SOURCES = ['src', 'test/fixtures/lasting.ts', 'test/fixtures/slow.ts', 'scripts']
const PACKAGE = ['package.json', 'package-lock.json', 'tsconfig.json']

/** A link to the code that runs, which a deploy swaps. */
export class CodeLink {
  readonly path: string

  constructor(t: Cleans, folder: string) {
    this.path = join(temporaryFolder(t), 'current')
    symlinkSync(folder, this.path)
  }

  /** Other code is on disk from now on. */
  swap(folder: string): void {
    symlinkSync(folder, `${this.path}.next`)
    renameSync(`${this.path}.next`, this.path)
  }

  /** The command that starts this code, for a shell. */
  get start(): string {
    return `"${process.execPath}" "${this.path}/dist/src/cli/muster.js" start`
  }

  fixture(name: string): string {
    return `${this.path}/dist/test/fixtures/${name}.js`
  }
}

/** Copies the compiled code of this version, and changes a text in one of its files. @returns the folder of the copy */
export function changedCopy(t: Cleans, file: string, from: string, to: string): string {
  const folder = temporaryFolder(t)
  for (const part of ['src', 'test/fixtures']) {
    cpSync(join(ROOT, 'dist', part), join(folder, 'dist', part), { recursive: true })
  }
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const path = join(folder, 'dist', file)
  const text = readFileSync(path, 'utf8')
  if (!text.includes(from)) throw new Error(`${file} does not contain ${from}`)
  writeFileSync(path, text.replace(from, to))
  // Without bundles, which contain the module as it was, the modules are loaded one by one.
  rmSync(join(folder, 'dist/src/bundles'), { recursive: true })
  return folder
}

/**
 * Finds the version before this one: the last commit if `src` has changed since, or else the commit before the last one that changed `src`.
 * @returns its hash; or why there is none, as in a checkout without history
 */
export function previousVersion(): { commit: string } | { missing: string } {
  try {
    const last = git('log', '-1', '--format=%H', '--', 'src')
    const commit = git('rev-parse', git('status', '--porcelain', '--', 'src') === '' ? `${last}~1` : 'HEAD')
    git('cat-file', '-e', `${commit}:src/primary/upgrade/upgrade-protocol.ts`)
    return { commit }
  } catch (error) {
    return { missing: `there is no previous version to upgrade from: ${(error as Error).message.split('\n').at(-2)}` }
  }
}

/** Builds a version of the history. @returns its folder */
export function buildVersion(t: Cleans, commit: string): string {
  const folder = temporaryFolder(t)
  const archive = execFileSync('git', ['archive', commit, ...SOURCES, ...PACKAGE], {
    cwd: ROOT,
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  execFileSync('tar', ['-x', '-C', folder], { input: archive })
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  execFileSync(process.execPath, [join('scripts', 'build.mjs')], { cwd: folder, stdio: 'inherit' })
  return folder
}

const git = (...args: string[]): string =>
  execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
