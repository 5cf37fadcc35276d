import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { schema } from '../../src/config/load.ts'

const lines = readFileSync(new URL('../../../.env.example', import.meta.url), 'utf8').split('\n')
/** A commented assignment; other comments are for people. */
const SETTING = /^# ([A-Z][A-Z0-9_]*)=(.*)$/

test('.env.example lists every variable of the schema with its default, and nothing else', () => {
  const listed = lines.flatMap((line) => SETTING.exec(line)?.slice(1, 3).join('=') ?? []).sort()
  const known = Object.entries(schema.properties)
    .map(([name, property]) => `${name}=${'default' in property ? property.default : ''}`)
    .sort()
  assert.deepEqual(listed, known)
})

test('.env.example says what each variable is, in the line before it', () => {
  for (const [i, line] of lines.entries()) {
    const name = SETTING.exec(line)?.[1]
    if (name) assert.match(lines[i - 1] ?? '', /^# [^-]\S* ?.{8,}/, `${name} is not explained`)
  }
})

test('.env.example sets nothing: copied as it is, it changes nothing', () => {
  assert.deepEqual(
    lines.filter((line) => line !== '' && !line.startsWith('#')),
    []
  )
})
