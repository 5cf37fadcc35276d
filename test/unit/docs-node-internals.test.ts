import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const FOLDER = 'src/node-internals'
/** Runs probes, but has none. */
const CHECK = 'check.ts'

/** Private names of Node that only src/node-internals may use. */
const PRIVATE =
  /\._handle\b|\._parent\b|_httpMessage|_storeHeader|_createServerHandle|kChannelHandle|'internalMessage'|\.onconnection\b|httpAllowHalfOpen|\._writev\b|\.shouldKeepAlive\b|process\.binding/

/** Names of private parts by module, as the table of docs/architecture.md lists them. */
function documented(): Record<string, string[]> {
  const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8')
  const section = page.split(/^## /m).find((text) => text.startsWith('Private parts of Node\n')) ?? ''
  const rows = section.split('\n').map((line) => /^\| `([\w-]+\.ts)` \| (.*?) \| .* \|$/.exec(line))
  const entries = rows.flatMap((row) =>
    row ? [[row[1]!, [...row[2]!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!)] as const] : []
  )
  return Object.fromEntries(entries)
}

/** Names of private parts by module, as the probes of the folder report them. */
async function probed(): Promise<Record<string, string[]>> {
  const modules = readdirSync(join(ROOT, FOLDER)).filter((file) => file !== CHECK)
  const entries = modules.map(async (file) => {
    const url = pathToFileURL(join(ROOT, 'dist', FOLDER, file.replace(/\.ts$/, '.js'))).href
    const exported = Object.entries((await import(url)) as Record<string, unknown>)
    const probes = exported.filter(([name]) => name.startsWith('probe')).map(([, probe]) => probe as () => object)
    assert.equal(probes.length, 1, `${file} exports one probe`)
    return [file, Object.keys(probes[0]!())] as const
  })
  return Object.fromEntries(await Promise.all(entries))
}

test('docs/architecture.md lists the private parts of Node that the probes look for', async () => {
  assert.deepEqual(documented(), await probed())
})

test('no module outside src/node-internals uses private parts of Node', () => {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true }).map((file) => join('src', String(file)))
  const outside = files.filter((file) => file.endsWith('.ts') && !file.startsWith(FOLDER))
  assert.ok(outside.length > 100)
  assert.deepEqual(
    outside.filter((file) => PRIVATE.test(readFileSync(join(ROOT, file), 'utf8'))),
    []
  )
})
