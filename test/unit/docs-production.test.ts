import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { environmentSchema } from '../../src/config/environment-schema.ts'
import { DEFAULT_PATHS } from '../../src/http/app-options.ts'
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

  test('has commands of Docker that scripts/docker-check-init.sh runs', () => {
    const script = readFileSync('scripts/docker-check-init.sh', 'utf8')
    const docker = commandsIn('Docker').filter((command) => command.startsWith('docker'))
    assert.ok(docker.length > 4)
    for (const command of docker) assert.ok(script.includes(command.replace('exec app', 'exec -T app')), command)
  })

  test('has manifests that fit the service and each other', () => {
    const [deployment, service] = parseAllDocuments(blocksIn('Kubernetes', 'yaml')[0]!.code).map((one) => one.toJS())
    const { spec } = deployment.spec.template
    const [container] = spec.containers
    const labels = deployment.spec.template.metadata.labels
    assert.deepEqual([deployment.spec.selector.matchLabels, service.spec.selector], [labels, labels])

    const [port] = container.ports
    assert.equal(port.containerPort, variables.PORT!.default)
    assert.equal(service.spec.ports[0].targetPort, port.name)
    const { readinessProbe, livenessProbe, startupProbe } = container
    for (const { httpGet } of [readinessProbe, livenessProbe, startupProbe]) assert.equal(httpGet.port, port.name)
    assert.equal(readinessProbe.httpGet.path, DEFAULT_PATHS.readyz)
    assert.deepEqual(
      [livenessProbe.httpGet.path, startupProbe.httpGet.path],
      [DEFAULT_PATHS.livez, DEFAULT_PATHS.livez]
    )
    const startMs = startupProbe.periodSeconds * startupProbe.failureThreshold * 1000
    assert.ok(startMs >= Number(variables.BOOT_TIMEOUT!.default), `${startMs} ms to start`)

    const env: { name: string; value?: string; valueFrom?: { secretKeyRef: { name: string; key: string } } }[] =
      container.env
    for (const { name } of env) assert.ok(name in variables, name)
    const value = (name: string) => env.find((one) => one.name === name)!
    const drainSeconds = (Number(value('LAME_DUCK').value) + Number(value('DRAIN_TIMEOUT').value)) / 1000
    assert.ok(spec.terminationGracePeriodSeconds > drainSeconds + 2)
    const { mountPath, name } = container.volumeMounts[0]
    assert.ok(value('RUN_DIR').value!.startsWith(`${mountPath}/`))
    assert.deepEqual(spec.volumes, [{ name, emptyDir: {} }])

    const commands = commandsIn('Kubernetes')
    const { secretKeyRef } = value('REDIS_URL').valueFrom!
    assert.ok(
      commands.some((command) =>
        command.startsWith(
          `kubectl create secret generic ${secretKeyRef.name} --from-literal=${secretKeyRef.key}=redis://`
        )
      )
    )
    for (const command of [
      `docker build -t ${container.image} .`,
      `docker push ${container.image}`,
      'kubectl apply -f kubernetes.yaml',
      `kubectl rollout status deployment/${deployment.metadata.name}`
    ]) {
      assert.ok(commands.includes(command), command)
    }
  })
})
