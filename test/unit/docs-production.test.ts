import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { environmentSchema } from '../../src/config/environment-schema.ts'
import { blocksOf, commandsOf, sectionOf } from '../helpers/documents.ts'

const blocks = blocksOf('docs/guide/production.md')
const blocksIn = (section: string, language: string) =>
  blocks.filter((block) => sectionOf(block) === section && block.language === language)
const commandsIn = (section: string) => blocksIn(section, 'sh').flatMap(commandsOf)
const variables = environmentSchema.properties as Record<string, { default?: unknown }>

describe('docs/guide/production.md', () => {
  test('has a unit whose settings are those of the unit that ships, but for names and paths', () => {
    const shipped = readFileSync('deploy/systemd/muster.service', 'utf8')
    const own = /^(Description|After|WorkingDirectory|ExecStart|Environment|EnvironmentFile|StateDirectory)=/
    const unit = blocksIn('systemd', 'ini')[0]!.code
    const lines = unit.split('\n').filter((line) => line !== '' && !line.startsWith('#') && !own.test(line))
    assert.ok(lines.length > 20)
    assert.deepEqual(
      lines.filter((line) => !shipped.split('\n').includes(line)),
      []
    )
    for (const [, name = ''] of unit.matchAll(/\b([A-Z]{2,}_[A-Z_]+)=/g)) {
      assert.ok(name in variables || ['NODE_ENV', 'XDG_CACHE_HOME'].includes(name), name)
    }
  })

  test('has commands of Docker that scripts/docker-check/init.sh runs', () => {
    const script = readFileSync('scripts/docker-check/init.sh', 'utf8')
    const docker = commandsIn('Docker').filter((command) => command.startsWith('docker'))
    assert.ok(docker.length > 4)
    for (const command of docker) assert.ok(script.includes(command.replace('exec app', 'exec -T app')), command)
  })

  test('has commands of Kubernetes that are those of its own page, which tests check', () => {
    const ofPage = blocksOf('docs/how-to/kubernetes.md').flatMap(commandsOf)
    const kubernetes = commandsIn('Kubernetes')
    assert.ok(kubernetes.length > 8)
    for (const command of kubernetes) assert.ok(ofPage.includes(command), command)
  })
})
