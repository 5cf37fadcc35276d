import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { temporaryFolder } from '../helpers/service.ts'

interface CheckStructure {
  MAX_FILES_PER_FOLDER: number
  MAY_IMPORT: Record<string, string[]>
  WITHOUT_WORKER_PACKAGES: string[]
  KNOW_PROCESSES: string[]
  layerOf(file: string): string
  importViolations(file: string, source: string): string[]
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const SCRIPT = join(ROOT, 'scripts/check-structure.mjs')
const { MAX_FILES_PER_FOLDER, MAY_IMPORT, WITHOUT_WORKER_PACKAGES, KNOW_PROCESSES, layerOf, importViolations } =
  (await import(SCRIPT)) as CheckStructure

const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) => /\.ts$/.test(file))
const layers = Object.keys(MAY_IMPORT)
const fileOf = (layer: string) => files.find((file) => layerOf(file) === layer) ?? `${layer}/new.ts`
const sourceOf = (file: string) => (files.includes(file) ? readFileSync(join(ROOT, 'src', file), 'utf8') : '')

/** What the check says about a file of the layer when it gets one more import. */
function withImport(layer: string, specifier: string): string[] {
  const file = fileOf(layer)
  return importViolations(file, `${sourceOf(file)}\nimport '${specifier}'\n`)
}

/** How a file of one layer imports a file of another. */
function specifierBetween(layer: string, target: string): string {
  const path = posix.normalize(relative(dirname(fileOf(layer)), fileOf(target)))
  return path.startsWith('.') ? path : `./${path}`
}

/** Runs the command on a copy of src that `change` has changed. @returns what it prints to standard error */
async function checkCopy(t: TestContext, change: (src: string) => void): Promise<string> {
  const folder = temporaryFolder(t)
  cpSync(join(ROOT, 'src'), join(folder, 'src'), { recursive: true })
  change(join(folder, 'src'))
  const failed = await promisify(execFile)(process.execPath, [SCRIPT, folder]).then(
    () => undefined,
    (error: { code: number; stderr: string }) => error
  )
  assert.equal(failed?.code, 1)
  return failed.stderr
}

describe('the structure check', () => {
  test('knows the layer of every file', () => {
    assert.deepEqual(
      files.filter((file) => !layers.includes(layerOf(file))),
      []
    )
  })

  for (const layer of layers) {
    test(`rejects each layer that ${layer} must not import, and accepts each that it may`, () => {
      for (const target of layers) {
        const found = withImport(layer, specifierBetween(layer, target))
        const isAllowed = target === layer || MAY_IMPORT[layer]!.includes(target)
        const line = `src/${fileOf(layer)}: ${layer} must not import ${target}`
        assert.equal(found.includes(line), !isAllowed, `${layer} imports ${target}`)
      }
    })
  }

  test('rejects packages of the worker, and node:cluster, where they do not belong', () => {
    for (const layer of layers) {
      for (const name of ['fastify', '@fastify/session', 'ioredis', 'connect-redis', 'prom-client']) {
        const found = withImport(layer, name).some((line) => line.endsWith(`must not import the package ${name}`))
        assert.equal(found, WITHOUT_WORKER_PACKAGES.includes(layer), `${layer} imports ${name}`)
      }
      const found = withImport(layer, 'node:cluster').some((line) => line.endsWith('must not import node:cluster'))
      assert.equal(found, !KNOW_PROCESSES.includes(layer), `${layer} imports node:cluster`)
    }
  })

  test('as a command, fails for an import, a folder, a file name and a layer that break the rules', async (t) => {
    const said = await checkCopy(t, (src) => {
      mkdirSync(join(src, 'ipc/many'))
      for (let i = 0; i <= MAX_FILES_PER_FOLDER; i++) writeFileSync(join(src, `ipc/many/many-${i}.ts`), '')
      writeFileSync(join(src, 'ipc/many/supervisor.ts'), "import type { App } from '../../http/build-app.ts'\n")
      mkdirSync(join(src, 'elsewhere'))
      writeFileSync(join(src, 'elsewhere/another.ts'), '')
    })
    assert.match(said, /^src\/ipc\/many has 16 files: split it, 14 is the limit$/m)
    assert.match(said, /^supervisor\.ts occurs twice: .*ipc\/many\/supervisor\.ts/m)
    assert.match(said, /^src\/ipc\/many\/supervisor\.ts: ipc must not import http$/m)
    assert.match(said, /^src\/elsewhere\/another\.ts: elsewhere is no layer/m)
  })
})
