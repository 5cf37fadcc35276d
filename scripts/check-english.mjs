// `npm run lint`: rejects sentences and words that read like a translation, in comments, messages and docs.
// CONTRIBUTING.md explains the rules. Usage: node scripts/check-english.mjs [folder]
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** A sentence names its subject: it does not start with one of these. */
const BAD_START = /(?:^|[.!?:]\s+|\|\s+)(Whoever|Who|What is|Of what|Those who|Such as)\b(?![^.]*\?)/m
/** Each phrase with the term that the project uses. */
const BANNED = [
  [/\btime-outs?\b/i, 'timeout'],
  [/\bblack[ -]box(es)?\b/i, 'hang report'],
  [/\berrands?\b/i, 'pending admin request'],
  [/\bchang(e|es|ed|ing) hands\b/i, 'is transferred to another worker'],
  [/\b(somebody|nobody|whoever)\b/i, 'name the role: the caller, the client, the worker'],
  [/\bwedged\b/i, 'hung'],
  [/\bmore to do here than can be done\b/i, 'Server overloaded'],
  [/\bsomeone else\b/i, 'name the role: another worker, another caller'],
  [/\b(came|comes) in time is\b/i, 'pending input is'],
  [/\bthe list calls so\b/i, 'with this handle'],
  [/\bguess what lives long\b/i, 'allocation-site pretenuring'],
  [/\bonly gets? no CPU\b/i, 'starved of CPU'],
  [/\bpermits? to (be|do)\b/i, 'may']
]
const PLACES = [
  'src',
  'bench',
  'test',
  'scripts',
  'docs',
  'examples',
  'deploy',
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  '.env.example'
]
const TEXT = /\.(ts|js|mjs|md|html|yml|sh|service|socket)$|\.env\.example$/
/** These files quote what is forbidden. */
const QUOTING = new Set(['scripts/check-english.mjs', join('test', 'unit', 'english.test.ts')])

/** Code of other people: packages, and starter apps as their authors wrote them. */
const FOREIGN = [/\/(node_modules|\.next)\//, /^test\/compat\/apps\/starters\//]

/** @returns one line per finding: file, line number, what is wrong */
export function findings(root) {
  return PLACES.flatMap((place) => filesIn(root, place))
    .filter((file) => TEXT.test(file) && !QUOTING.has(file))
    .flatMap((file) => {
      const isCode = /\.(ts|js|mjs)$/.test(file)
      return readFileSync(join(root, file), 'utf8')
        .split('\n')
        .flatMap((line, i) => {
          // A quoted name in a document may be an old one that the text renames.
          const text = isCode ? proseOf(line) : line.replace(/^\s*([-*#>|]+|\d+\.)\s*/, '').replace(/`[^`]*`/g, '')
          return textFaults(text).map((fault) => `${file}:${i + 1}: ${fault}`)
        })
    })
}

/** @returns what is wrong with a line of prose */
export function textFaults(text) {
  const faults = []
  const start = BAD_START.exec(text)
  if (start) faults.push(`a sentence starts with "${start[1]}": name the subject`)
  for (const [pattern, instead] of BANNED) {
    const match = pattern.exec(text)
    if (match) faults.push(`"${match[0]}": write "${instead}"`)
  }
  return faults
}

/** The comment and the quoted text of a line of code. */
function proseOf(line) {
  const comment = /^\s*(?:\/\*\*?|\*)\s?(.*)$/.exec(line)?.[1] ?? /(?:^|\s)\/\/\s?(.*)$/.exec(line)?.[1] ?? ''
  const quoted = [...line.matchAll(/'([^']*)'|"([^"]*)"|`([^`]*)`/g)].map(([, a, b, c]) => a ?? b ?? c ?? '')
  return [comment, ...quoted.filter((text) => text.includes(' '))].join('\n')
}

function filesIn(root, place) {
  const path = join(root, place)
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) return []
  if (!stat.isDirectory()) return [place]
  return readdirSync(path, { recursive: true })
    .map((file) => join(place, file))
    .filter((file) => !FOREIGN.some((pattern) => pattern.test(file)))
    .filter((file) => statSync(join(root, file)).isFile())
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const found = findings(process.argv[2] ?? '.')
  for (const line of found) console.error(line)
  process.exit(found.length > 0 ? 1 : 0)
}
