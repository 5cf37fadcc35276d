import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** A fenced block of a page. */
export interface Block {
  page: string
  /** The line of its opening fence, from 1. */
  line: number
  /** What follows the opening fence: `sh`, `js`, `text`, … */
  language: string
  code: string
  /** The file that the first line names in a comment, for example `// app.js`. */
  file: string | undefined
}

const pagesIn = (folder: string) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join(folder, file))
    .sort()

/** The pages for readers, relative to {@link ROOT}. */
export const EXAMPLES = pagesIn('examples')
export const PAGES = ['README.md', ...pagesIn('docs'), ...EXAMPLES]
export const RECIPES = PAGES.filter((page) => page.startsWith('docs/recipes/'))

export const readPage = (page: string): string => readFileSync(join(ROOT, page), 'utf8')

export function blocksOf(page: string): Block[] {
  const text = readPage(page)
  return [...text.matchAll(/^( *)```(\w*)\n(.*?)^\1```$/gms)].map(({ index, 1: indent, 2: language, 3: code }) => ({
    page,
    line: text.slice(0, index).split('\n').length,
    language: language!,
    code: code!.replace(new RegExp(`^${indent}`, 'gm'), ''),
    file: /^(?:\/\/|#|<!--) ([\w./-]+\.\w+)(?:[:\s].*)?$/m.exec(code!.split('\n', 1)[0]!)?.[1]
  }))
}

/** @returns the last heading above the block */
export function sectionOf({ page, line }: Block): string {
  const above = readPage(page)
    .split('\n')
    .slice(0, line - 1)
    .join('\n')
  const headings = above.replace(/^( *)```.*?^\1```$/gms, '').match(/^#+ .*$/gm) ?? []
  return headings.at(-1)?.replace(/^#+ /, '') ?? ''
}

/** The commands of an `sh` block, in which a backslash continues a line. */
export const commandsOf = ({ code }: Block): string[] =>
  code
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
