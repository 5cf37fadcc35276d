import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linksOf, readPackage } from '../../src/routes/links.ts'

const LINKS: [what: string, info: Parameters<typeof linksOf>[0], docs: string, repository: string][] = [
  ['an address', { repository: 'https://git.example/a/b' }, '', 'https://git.example/a/b'],
  ['a short form of npm', { repository: 'a/b' }, '', 'https://github.com/a/b'],
  [
    'an object',
    { homepage: 'https://docs.example/', repository: { url: 'git+https://git.example/a/b.git' } },
    'https://docs.example/',
    'https://git.example/a/b'
  ],
  ['nothing', {}, '', ''],
  ['a scheme that runs code', { homepage: 'javascript:alert(1)', repository: 'javascript:alert(1)' }, '', '']
]
test('the front page links to what package.json names, and to nothing else', () => {
  for (const [what, info, docs, repository] of LINKS) assert.deepEqual(linksOf(info), { docs, repository }, what)
})

test('the front page finds the package.json above its code', () => {
  assert.equal((readPackage(new URL(import.meta.url)) as { name?: string }).name, 'muster-serve')
})
