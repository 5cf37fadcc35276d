import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Case } from './case.ts'
import { CASES } from './cases/index.ts'
import { FOLDER } from './installed.ts'

/** The case names, each with the versions that ran and the major versions of Node on which the case passed. */
export type Results = Record<string, { versions: Record<string, string>; nodes: number[] }>

const RESULTS = join(FOLDER, 'results.json')
export const PAGE = join(FOLDER, '..', '..', 'docs', 'compatibility.md')

const HEAD = `# Compatibility

Every plugin and framework below is run by a test: a small app as its documentation shows it, without a change for muster. The app starts with
\`muster start\`, two workers and a real Redis. It is checked by real clients and in Chromium, reloaded while clients with open connections send
requests, checked again and stopped. No request may fail, no connection may be closed, and the log may have no error.

This page is generated from the results: \`npm run test:compat -- --write\`. [CONTRIBUTING.md](../CONTRIBUTING.md#add-a-case-to-the-compatibility-suite)
says how to add a plugin.
`

export function readResults(): Results {
  return JSON.parse(readFileSync(RESULTS, 'utf8')) as Results
}

/**
 * Writes results.json and docs/compatibility.md. Results of other versions of Node stay, unless a package has changed.
 * @param passed the cases that ran, and whether they passed
 */
export function recordResults(passed: Map<string, boolean>, node: number): void {
  const before = readResults()
  const results: Results = {}
  for (const one of Object.values(CASES).flat()) {
    const versions = versionsOf(one)
    const known = before[one.name]
    const isSame = JSON.stringify(known?.versions) === JSON.stringify(versions)
    const nodes = new Set(isSame ? known?.nodes : [])
    if (passed.get(one.name) === true) nodes.add(node)
    if (passed.get(one.name) === false || one.why) nodes.delete(node)
    results[one.name] = { versions, nodes: [...nodes].sort((a, b) => a - b) }
  }
  // On one line each, as the formatter wants them.
  const text = JSON.stringify(results, undefined, 2).replace(
    /\[\s+([\d,\s]+?)\s+\]/g,
    (_, nodes: string) => `[${nodes.replace(/\s+/g, ' ')}]`
  )
  writeFileSync(RESULTS, `${text}\n`)
  writeFileSync(PAGE, renderPage(results))
}

/** Returns the text of docs/compatibility.md. */
export function renderPage(results: Results): string {
  const sections = Object.entries(CASES).map(([heading, cases]) => {
    const rows = cases.map((one) => rowOf(one, results))
    return `## ${heading}\n\n| plugin or framework | version | works | on Node |\n|---|---|---|---|\n${rows.join('\n')}\n`
  })
  return [HEAD, ...sections].join('\n')
}

function rowOf(one: Case, results: Results): string {
  const { versions = {}, nodes = [] } = results[one.name] ?? {}
  const names = one.packages.map((name) => `\`${name}\``).join(', ')
  const title = one.title ? [one.title, names].filter(Boolean).join(': ') : names
  const version = one.packages.map((name) => versions[name]).join(', ') || '–'
  return `| ${title} | ${version} | ${describeResult(one, nodes)} | ${nodes.join(', ') || '–'} |`
}

function describeResult({ why, line, note }: Case, nodes: number[]): string {
  if (why) return `no: ${why}`
  if (nodes.length === 0) return 'no'
  return `${line ? `with one line: ${line}` : 'as it is'}${note ? `; ${note}` : ''}`
}

/** Returns the versions of the packages that a case is about. */
export function versionsOf({ packages }: Case): Record<string, string> {
  const { dependencies } = JSON.parse(readFileSync(join(FOLDER, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  return Object.fromEntries(packages.map((name) => [name, dependencies[name] ?? '']))
}
