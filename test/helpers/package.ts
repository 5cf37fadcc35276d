import { execFile } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Cleans } from './cleanup.ts'
import { cleanEnvironment, temporaryFolder } from './service.ts'

/** The folder of the project. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const MAX_OUTPUT_BYTES = 64 * 2 ** 20
const NPM_ENV = { npm_config_audit: 'false', npm_config_fund: 'false', npm_config_update_notifier: 'false' }

/** Runs a program, for example npm, without the variables that configure a service. Rejects when it fails. */
export const run = (cwd: string, command: string, ...args: string[]) =>
  promisify(execFile)(command, args, {
    cwd,
    env: { ...cleanEnvironment(), ...NPM_ENV },
    maxBuffer: MAX_OUTPUT_BYTES
  })

interface Packed {
  filename: string
  size: number
  unpackedSize: number
  files: { path: string }[]
}

/** Packs a copy of the project, because packing compiles from scratch. @returns what npm says, and the path of the tarball */
export async function pack(t: Cleans): Promise<Packed & { file: string }> {
  const copy = temporaryFolder(t)
  await run(ROOT, 'cp', '-r', ...['src', 'scripts', 'deploy', '.env.example'].map((name) => join(ROOT, name)), copy)
  const files = ['package.json', 'package-lock.json', 'tsconfig.json', 'README.md', 'LICENSE', 'CHANGELOG.md']
  await run(ROOT, 'cp', ...files.map((name) => join(ROOT, name)), copy)
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  const { stdout } = await run(copy, 'npm', 'pack', '--json')
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [Packed]
  return { ...packed, file: join(copy, packed.filename) }
}

/** An empty project in which the package is installed as users do it. */
export async function install(t: TestContext, file: string): Promise<string> {
  const folder = temporaryFolder(t)
  await run(folder, 'npm', 'init', '-y')
  await run(folder, 'npm', 'install', '--prefer-offline', file)
  return folder
}
