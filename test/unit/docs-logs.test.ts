import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PAGE = readFileSync(join(ROOT, 'docs/reference/logs.md'), 'utf8')
const CALL = /\blog\w*\??(?:\.(?:trace|debug|info|warn|error|fatal)|\[[^\]\n]+\])\(/gi

/** Finds the end of the brackets that are open at `start`. */
function endOfArguments(source: string, start: number): number {
  let depth = 1
  let quote = ''
  for (let i = start; i < source.length; i++) {
    const char = source[i]!
    if (quote !== '') {
      if (char === '\\') i++
      else if (char === quote) quote = ''
    } else if (/['"`]/.test(char)) quote = char
    else if (/[([{]/.test(char)) depth++
    else if (/[)\]}]/.test(char) && --depth === 0) return i
  }
  return source.length
}

/** The text literals that end the arguments of log calls; texts that are computed are left out. */
function eventsIn(source: string): string[] {
  return [...source.matchAll(CALL)].flatMap((call) => {
    const start = call.index + call[0].length
    const text = source.slice(start, endOfArguments(source, start)).trim()
    const [, single, double] = /(?:^|[,:]\s*)(?:'((?:[^'\\\n]|\\.)*)'|"([^"\n]*)"),?$/.exec(text) ?? []
    const event = single ?? double
    return event === undefined ? [] : [event]
  })
}

test('docs/reference/logs.md lists the text of every log line, and no others', () => {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.startsWith('routes/'))
    .map((file) => readFileSync(join(ROOT, 'src', file), 'utf8'))
  const documented = [...PAGE.matchAll(/^\| `([^`]+)` \| (?:debug|info|warn|error|fatal)\b/gm)].map(([, text]) => text!)
  const logged = new Set(sources.flatMap(eventsIn))
  assert.ok(logged.size > 40, `only ${logged.size} found`)
  assert.deepEqual([...logged].filter((event) => !documented.includes(event)).sort(), [], 'not documented')
  const all = sources.join('\n')
  // A text may be put together, so that the code has its parts only.
  const isInCode = (text: string) => all.includes(text) || text.split(/ (?=\S+$)/).every((part) => all.includes(part))
  assert.deepEqual(
    documented.filter((text) => !isInCode(text)),
    [],
    'not in the code'
  )
})
