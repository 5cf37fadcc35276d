import assert from 'node:assert/strict'
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cleans } from './cleanup.ts'
import { ROOT } from './documents.ts'
import { type Service, startService, temporaryFolder } from './service.ts'

/** A change of the compiled code that breaks a promise. */
export interface Damage {
  /** The compiled file, below dist/src. */
  file: string
  /** Occurs in the file exactly once. */
  from: string | RegExp
  to: string
}

/** Returns the code of the file with the damage. */
export function damagedCode({ file, from, to }: Damage): string {
  const parts = readFileSync(join(ROOT, 'dist/src', file), 'utf8').split(from)
  assert.equal(parts.length, 2, `${file} has ${from} ${parts.length - 1} times`)
  return parts.join(to)
}

/** Starts the example in a copy of the compiled service that has the damage. */
export async function startCopy(t: Cleans, damage: Damage, env: Record<string, string> = {}): Promise<Service> {
  const copy = temporaryFolder(t)
  cpSync(join(ROOT, 'dist/src'), join(copy, 'dist/src'), { recursive: true })
  cpSync(join(ROOT, 'package.json'), join(copy, 'package.json'))
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  writeFileSync(join(copy, 'dist/src', damage.file), damagedCode(damage))
  // Without bundles, which contain the module as it was, the modules are loaded one by one.
  rmSync(join(copy, 'dist/src/bundles'), { recursive: true })
  const command = `"${process.execPath}" "${join(copy, 'dist/src/cli/muster.js')}" start`
  return startService(t, { command, env: { APP: join(copy, 'dist/src/routes/index.js'), ...env } })
}
