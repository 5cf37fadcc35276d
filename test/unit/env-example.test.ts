import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { environmentSchema } from '../../src/config/environment-schema.ts'

const lines = readFileSync(new URL('../../../.env.example', import.meta.url), 'utf8').split('\n')
/** A commented assignment; other comments are for people. */
const SETTING = /^# ([A-Z][A-Z0-9_]*)=(.*)$/

test('.env.example lists every variable of the schema with its default, and nothing else', () => {
  const listed = lines.flatMap((line) => SETTING.exec(line)?.slice(1, 3).join('=') ?? []).sort()
  const known = Object.entries(environmentSchema.properties)
    .map(([name, property]) => `${name}=${'default' in property ? property.default : ''}`)
    .sort()
  assert.deepEqual(listed, known)
})

test('.env.example describes each variable as the schema does, and may add a page of the documentation', () => {
  let comment: string[] = []
  for (const line of lines) {
    const name = SETTING.exec(line)?.[1] as keyof typeof environmentSchema.properties | undefined
    if (!line.startsWith('# ')) comment = []
    else if (name === undefined) comment.push(line.slice(2))
    else {
      const text = comment.join(' ').replace(/ \(docs\/[\w/-]+\.md\)$/, '')
      assert.equal(text, environmentSchema.properties[name].description, name)
      comment = []
    }
  }
})

test('.env.example sets nothing: a copy of it changes nothing', () => {
  assert.deepEqual(
    lines.filter((line) => line !== '' && !line.startsWith('#')),
    []
  )
})
