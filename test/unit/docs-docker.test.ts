import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { blocksOf, commandsOf } from '../helpers/documents.ts'

/** Commands that would never end, or need what a check does not have, with how a check does the same. */
const OTHERWISE: Record<string, string> = {
  'docker compose up': 'docker compose up "$@" --detach --wait',
  'docker service ls': 'docker service ps muster_app'
}

for (const [page, part] of [
  ['docs/how-to/docker.md', 'compose'],
  ['docs/how-to/swarm.md', 'swarm']
] as const) {
  test(`scripts/docker-check/${part}.sh runs the commands of ${page}`, () => {
    const script = readFileSync(`scripts/docker-check/${part}.sh`, 'utf8').replace(' --resolve-image never', '')
    const commands = blocksOf(page)
      .filter(({ language }) => language === 'sh')
      .flatMap(commandsOf)
      .filter((command) => /\bdocker /.test(command))
    assert.ok(commands.length >= 4)
    for (const command of commands) {
      const run = (OTHERWISE[command] ?? command).replace(/registry\.example\/muster:\d/, '$1')
      assert.ok(script.includes(run), command)
    }
  })
}
