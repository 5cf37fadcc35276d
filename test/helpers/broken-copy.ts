import assert from 'node:assert/strict'
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
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

/** Starts the example in a copy of the compiled service. @param damage undefined: the copy is as good as the original */
export async function startCopy(t: Cleans, damage: Damage, env: Record<string, string> = {}): Promise<Service> {
  const copy = temporaryFolder(t)
  cpSync(join(ROOT, 'dist/src'), join(copy, 'dist/src'), { recursive: true })
  cpSync(join(ROOT, 'package.json'), join(copy, 'package.json'))
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  const path = join(copy, 'dist/src', damage.file)
  const parts = readFileSync(path, 'utf8').split(damage.from)
  assert.equal(parts.length, 2, `${damage.file} has ${damage.from} ${parts.length - 1} times`)
  writeFileSync(path, parts.join(damage.to))
  const command = `"${process.execPath}" "${join(copy, 'dist/src/cli/muster.js')}" start`
  return startService(t, { command, env: { APP: join(copy, 'dist/src/routes/index.js'), ...env } })
}
