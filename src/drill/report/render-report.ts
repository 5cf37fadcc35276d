import { printable } from '../../common/text/printable.ts'
import type { Page, Section } from './report-page.ts'

/** Characters that would end a cell of a table, or begin something else. */
const inMarkdown = (text: string): string => printable(text).replace(/[\\|<>*_`[\]]/g, '\\$&')

export const toMarkdown = ({ title, intro, sections }: Page): string =>
  `# ${inMarkdown(title)}\n\n${inMarkdown(intro)}\n${sections.map(sectionInMarkdown).join('')}`

function sectionInMarkdown({ heading, table, items = [] }: Section): string {
  const line = (cells: string[]) => `| ${cells.map(inMarkdown).join(' | ')} |\n`
  const rows = table ? [line(table.head), `|${'---|'.repeat(table.head.length)}\n`, ...table.rows.map(line)] : []
  return `\n## ${heading}\n\n${rows.join('')}${items.map((item) => `- ${inMarkdown(item)}\n`).join('')}`
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const inHtml = (text: string): string => printable(text).replace(/[&<>"]/g, (character) => ENTITIES[character]!)

const STYLE = `body { font: 1rem/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #ccc; padding: .4rem .6rem; text-align: left; vertical-align: top }
.held { color: #0a6b2d } .broken { color: #b00020; font-weight: bold } .skipped { color: #5a5a5a }
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #16181c } .held { color: #6fce8f } .broken { color: #ff8a94 } .skipped { color: #a8a8a8 } }`

/** Renders a page that needs no other file. */
export const toHtml = ({ title, intro, sections }: Page): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${inHtml(title)}</title>
<style>${STYLE}</style>
<h1>${inHtml(title)}</h1>
<p>${inHtml(intro)}</p>
${sections.map(sectionInHtml).join('')}</html>
`

function sectionInHtml({ heading, table, items = [] }: Section): string {
  const cell = (text: string) =>
    /^(held|broken|skipped)$/.test(text) ? `<td class="${text}">${text}</td>` : `<td>${inHtml(text)}</td>`
  const head = table?.head.map((text) => `<th scope="col">${inHtml(text)}</th>`).join('')
  const rows = table?.rows.map((row) => `<tr>${row.map(cell).join('')}</tr>\n`).join('')
  const list = items.map((item) => `<li>${inHtml(item)}</li>\n`).join('')
  return (
    `<h2>${inHtml(heading)}</h2>\n` +
    (table ? `<table>\n<thead><tr>${head}</tr></thead>\n<tbody>\n${rows}</tbody>\n</table>\n` : '') +
    (list ? `<ul>\n${list}</ul>\n` : '')
  )
}
