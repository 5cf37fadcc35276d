import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './documents.ts'

/** Compiles a module in a folder of its own, in which packages and the types of the service are found. @returns the messages */
export function compileModule(name: string, source: string): string {
  const folder = join(ROOT, 'dist/.docs', name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'checked.ts'), source)
  const { compilerOptions } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.json'), 'utf8')) as {
    compilerOptions: object
  }
  const options = {
    ...compilerOptions,
    rootDir: ROOT,
    noEmit: true,
    noUnusedLocals: false,
    noUnusedParameters: false
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['checked.ts'] }))
  try {
    execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder, '--pretty', 'false'], {
      encoding: 'utf8'
    })
    return ''
  } catch (error) {
    return (error as { stdout: string }).stdout
  }
}
