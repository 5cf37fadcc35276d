import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readDrillArguments } from '../../src/cli/drill/drill-arguments.ts'
import { judge } from '../../src/drill/judgement/judge-promises.ts'
import { parseRequests } from '../../src/drill/load/requests.ts'
import { FAULTS } from '../../src/drill/observations.ts'
import { toMarkdown } from '../../src/drill/report/render-report.ts'
import { reportPage } from '../../src/drill/report/report-page.ts'
import { blocksOf, commandsOf, readPage } from '../helpers/documents.ts'
import { goodDrill } from '../helpers/good-drill.ts'
import { temporaryFolder } from '../helpers/service.ts'

const PAGE = 'docs/how-to/drill.md'
const blocks = (language: string) => blocksOf(PAGE).filter((block) => block.language === language)
const [requests] = blocks('json')

test('docs/how-to/drill.md has commands that are accepted, with the requests that it shows', (t) => {
  assert.deepEqual(parseRequests(requests!.code).issues, [])
  const file = join(temporaryFolder(t), 'requests.json')
  writeFileSync(file, requests!.code)
  const commands = blocks('sh').flatMap(commandsOf)
  assert.ok(commands.length >= 4)
  for (const command of commands) {
    const [npx, muster, drill, ...flags] = command.replace('requests.json', file).split(' ')
    assert.deepEqual([npx, muster, drill], ['npx', 'muster', 'drill'])
    readDrillArguments(flags)
  }
})

test('docs/how-to/drill.md explains every fault, in their order', () => {
  const [, rowsOfFaults = ''] = readPage(PAGE).split('| fault | what happens |')
  const rows = [...rowsOfFaults.split('\n\n')[0]!.matchAll(/^\| `([a-z-]+)` \| .{20}/gm)].map(([, name]) => name)
  assert.deepEqual(rows, [...FAULTS])
})

test('docs/how-to/drill.md shows a report that has the form of a report', () => {
  // Figures differ, and a fault may be skipped.
  const formOf = (report: string) =>
    report
      .split('\n')
      .flatMap((line) => (/^(# Drill of|## [PFA])/.test(line) ? [line] : (/^\| [^|]+ \|/.exec(line) ?? [])))
  const seen = goodDrill()
  assert.deepEqual(formOf(blocks('markdown')[0]!.code), formOf(toMarkdown(reportPage(seen, judge(seen)))))
})
