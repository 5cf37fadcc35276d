import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'SECURITY.md',
  ...['docs', 'examples'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.md'))
      .map((file) => join(folder, file))
  )
]

const read = (page: string) => readFileSync(join(ROOT, page), 'utf8')
/** The page without its code, where brackets are no links and a # is no heading. */
const proseOf = (page: string) => read(page).replace(/^( *)```.*?^\1```/gms, '')

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of proseOf(page).matchAll(/^#{1,6} (.+)$/gm)) {
    const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = text.replace(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-')
    let anchor = slug
    for (let n = 1; anchors.has(anchor); n++) anchor = `${slug}-${n}`
    anchors.add(anchor)
  }
  return anchors
}

/** Relative links of a page: the file and the anchor, either of which may be empty. */
function linksOf(page: string): { file: string; anchor: string }[] {
  const links = proseOf(page)
    .replace(/`[^`\n]*`/g, '')
    .matchAll(/\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]*))?\)/g)
  return [...links].map(([, file = '', anchor = '']) => ({ file, anchor }))
}

for (const page of PAGES) {
  test(`${page}: every relative link and anchor resolves`, () => {
    for (const { file, anchor } of linksOf(page)) {
      const target = file === '' ? page : normalize(join(dirname(page), file))
      assert.ok(existsSync(join(ROOT, target)), `${page} links to ${target}, which does not exist`)
      if (anchor !== '')
        assert.ok(anchorsOf(target).has(anchor), `${page} links to ${target}#${anchor}: no such heading`)
    }
  })
}

test('docs/README.md links to every page of the documentation', () => {
  const linked = new Set(linksOf('docs/README.md').map(({ file }) => normalize(join('docs', file))))
  const unlinked = PAGES.filter((page) => page.startsWith('docs/') && page !== 'docs/README.md')
    .filter((page) => !page.startsWith('docs/decisions/') || page === 'docs/decisions/README.md')
    .filter((page) => !linked.has(page))
  assert.deepEqual(unlinked, [])
})
