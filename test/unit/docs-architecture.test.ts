import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PAGE = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8')

const section = (heading: string) => PAGE.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''
const codeIn = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)
/** The rows of a section's table, without its head. */
const rowsOf = (heading: string) =>
  [...section(heading).matchAll(/^\| (`.*) \|$/gm)].map(([, row = '']) => row.split(' | '))

test('docs/architecture.md has the import directions that the linter enforces', async () => {
  const rules = new URL('../../../scripts/check-structure.mjs', import.meta.url).href
  const { MAY_IMPORT } = (await import(rules)) as { MAY_IMPORT: Record<string, string[]> }
  const documented = rowsOf('Import directions').map(([layer = '', targets = '']) => [
    codeIn(layer)[0],
    codeIn(targets)
  ])
  assert.deepEqual(Object.fromEntries(documented), MAY_IMPORT)
})

test('docs/architecture.md has a line for each folder of src', () => {
  const listed = rowsOf('Folders').map(([folder = '']) => codeIn(folder)[0] ?? '')
  const foldersIn = (folder: string) =>
    readdirSync(join(ROOT, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `${folder}/${name}`)
  const folders = foldersIn('src').flatMap((folder) => [folder, ...foldersIn(folder)])
  const explained = folders.filter((folder) => listed.includes(folder) || folder === 'src/routes/page')
  assert.deepEqual(explained, folders)
})

test('every file that README.md, CONTRIBUTING.md and docs/architecture.md name exists', () => {
  for (const page of ['README.md', 'CONTRIBUTING.md', 'docs/architecture.md']) {
    const text = readFileSync(join(ROOT, page), 'utf8')
    const paths = codeIn(text.replace(/^```.*?^```/gms, '')).filter((code) =>
      /^(src|scripts|test|bench)\/[\w/.-]+$/.test(code)
    )
    for (const path of paths) assert.ok(existsSync(join(ROOT, path)), `${page} names ${path}, which does not exist`)
  }
})
