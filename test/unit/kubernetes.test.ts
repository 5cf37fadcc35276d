import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { environmentSchema } from '../../src/config/environment-schema.ts'
import { DEFAULT_PATHS } from '../../src/http/app-options.ts'
import { ROOT, readPage } from '../helpers/documents.ts'
import { faultsOf } from '../helpers/kubernetes-schemas.ts'
import { build, type Manifest, nameOf } from '../helpers/kustomize.ts'
import { configOf, containerOf, environmentOf, find, SECRET } from '../helpers/pods.ts'
import { missing } from '../helpers/programs.ts'

const FOLDER = join(ROOT, 'deploy/kubernetes')
const text = (path: string) => readFileSync(join(FOLDER, path), 'utf8')
const OVERLAYS = readdirSync(join(FOLDER, 'overlays'))
const [scaledObject] = build(join(FOLDER, 'components/keda')) as [Manifest]
const built = OVERLAYS.map((name) => [name, build(join(FOLDER, 'overlays', name))] as const)
const production = new Map(built).get('production')!
const ALL = [...built.flatMap(([, objects]) => objects), scaledObject]
const variables = environmentSchema.properties as Record<string, unknown>

describe('every manifest', () => {
  test('has the fields and values of the schema of its kind, and no others', async () => {
    assert.deepEqual((await Promise.all(ALL.map(faultsOf))).flat(), [])
  })

  test('is part of an overlay or of a component, so that the test above sees it', () => {
    const files = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.yaml'))
    const objects = files
      .filter((file) => !/kustomization|-values/.test(file))
      .flatMap((file) => parseAllDocuments(text(file)).map((document) => nameOf(document.toJS())))
    const seen = ALL.map(nameOf)
    assert.deepEqual(
      objects.filter((name) => !seen.includes(name)),
      []
    )
    assert.ok(objects.length > 12)
  })

  test('is refused with a wrong type, a wrong value or a misspelled field', async () => {
    const spoil = (change: (container: Manifest, deployment: Manifest) => void) => {
      const deployment = structuredClone(find(production, 'Deployment'))
      change(containerOf(deployment), deployment)
      return faultsOf(deployment)
    }
    const [misspelled] = await spoil((container) => void (container.readinesProbe = container.readinessProbe))
    assert.match(misspelled!, /^Deployment muster: unknown field .*\/containers\/0\/readinesProbe$/)
    assert.match((await spoil((_, { spec }) => void (spec.replicas = '2')))[0]!, /replicas must be integer/)
    assert.match((await spoil((container) => void delete container.name))[0]!, /must have required property name/)
    const wrong = structuredClone(scaledObject)
    wrong.spec.triggers[0].metadata.threshold = 0.6
    assert.match((await faultsOf(wrong))[0]!, /threshold must be string/)
  })
})

/** For `skip`: Debian's kubectl is older than components. */
function withoutKustomize(): string | false {
  const absent = missing('kubectl')
  if (absent) return absent
  const version = execFileSync('kubectl', ['version', '--client'], { encoding: 'utf8' })
  return !/^Kustomize Version: v([5-9]|\d\d)\./m.test(version) && 'kubectl has no Kustomize 5'
}

describe('kubectl kustomize', { skip: withoutKustomize() }, () => {
  for (const [name, objects] of built) {
    test(`builds the overlay ${name} as the tests here do`, () => {
      const output = execFileSync('kubectl', ['kustomize', join(FOLDER, 'overlays', name)], { encoding: 'utf8' })
      const theirs = parseAllDocuments(output).map((document) => document.toJS() as Manifest)
      const byName = (a: Manifest, b: Manifest) => nameOf(a).localeCompare(nameOf(b))
      assert.deepEqual(theirs.sort(byName), [...objects].sort(byName))
    })
  }
})

for (const [name, objects] of built) {
  const deployment = find(objects, 'Deployment')
  const { spec } = deployment.spec.template
  const container = containerOf(deployment)
  describe(`the pods of overlay ${name}`, () => {
    test('run without rights, as the user of the image', () => {
      for (const file of ['Dockerfile', 'src/cli/init/templates/shared/Dockerfile']) {
        assert.match(readPage(file), /^FROM node:[\s\S]*^ENV NODE_ENV=production HOST=0\.0\.0\.0 [\s\S]*^USER node$/m)
      }
      const [, uid] = /\/run\/muster:uid=(\d+)/.exec(readPage('docker-compose.yml'))!
      const { runAsUser, runAsGroup, fsGroup, ...rest } = spec.securityContext
      assert.deepEqual([runAsUser, runAsGroup, fsGroup].map(String), [uid, uid, uid])
      assert.deepEqual(rest, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
      assert.deepEqual(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] }
      })
      assert.deepEqual([spec.automountServiceAccountToken, spec.enableServiceLinks], [false, false])
    })

    test('have settings that the service knows and accepts', (t) => {
      for (const { name: variable } of container.env) assert.ok(variable in variables, variable)
      const config = configOf(t, deployment)
      assert.ok(config.production && config.host === '0.0.0.0')
      assert.equal(config.redis.url, SECRET['redis-url'])
    })

    test('write to a volume only, and read secrets from files of the Secret', () => {
      const volumes = new Map(spec.volumes.map((volume: Manifest) => [volume.name, volume]))
      const folderOf = (kind: string) =>
        container.volumeMounts.find((mount: Manifest) => kind in (volumes.get(mount.name) as Manifest)).mountPath
      assert.ok(environmentOf(deployment).RUN_DIR!.startsWith(`${folderOf('emptyDir')}/`))
      const files = container.env.filter(({ name: variable }: Manifest) => variable.endsWith('_FILE'))
      assert.ok(files.length >= 2)
      for (const { value } of files) assert.ok(value.replace(`${folderOf('secret')}/`, '') in SECRET, value)
      const secrets = container.env.filter(({ name: variable }: Manifest) => /SECRET$|TOKEN$|URL$/.test(variable))
      assert.deepEqual(secrets, [], 'no value of a secret is in a manifest')
    })

    test('are replaced without one pod less, and are probed where the service answers', (t) => {
      const { type, rollingUpdate } = deployment.spec.strategy
      assert.deepEqual([type, rollingUpdate.maxUnavailable], ['RollingUpdate', 0])
      assert.notEqual(Number.parseInt(rollingUpdate.maxSurge, 10), 0)
      assert.equal(container.lifecycle, undefined, 'LAME_DUCK takes the place of a preStop hook')
      const { startupProbe, livenessProbe, readinessProbe } = container
      const paths = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.path)
      assert.deepEqual(paths, [DEFAULT_PATHS.livez, DEFAULT_PATHS.livez, DEFAULT_PATHS.readyz])
      for (const { httpGet } of [startupProbe, livenessProbe, readinessProbe]) assert.equal(httpGet.port, 'http')
      const { port, adminPort } = configOf(t, deployment)
      const ports = container.ports.map((one: Manifest) => [one.name, one.containerPort])
      assert.deepEqual(ports, [
        ['http', port],
        ['admin', adminPort?.port]
      ])
    })

    test('are those that the other objects select, at ports that they have', () => {
      const { labels } = deployment.spec.template.metadata
      const ports = container.ports.map((one: Manifest) => one.name)
      const selectors = objects.flatMap(({ kind, spec: of }) => {
        if (kind === 'Service') return [of.selector]
        if (kind === 'NetworkPolicy') return [of.podSelector.matchLabels]
        return ['Deployment', 'PodDisruptionBudget'].includes(kind) ? [of.selector.matchLabels] : []
      })
      assert.ok(selectors.length >= 4)
      const constraints = spec.topologySpreadConstraints.map((one: Manifest) => one.labelSelector.matchLabels)
      for (const selector of [...selectors, ...constraints]) assert.deepEqual(selector, labels)
      const used = objects.flatMap(({ kind, spec: of }) => {
        if (kind === 'Service') return of.ports.map((one: Manifest) => one.targetPort)
        return kind === 'NetworkPolicy'
          ? of.ingress.flatMap((rule: Manifest) => rule.ports.map(({ port }: Manifest) => port))
          : []
      })
      for (const port of used) assert.ok(ports.includes(port), port)
    })
  })
}

describe('the kustomizations', () => {
  test('put every object into one namespace', () => {
    for (const [, objects] of built) {
      const { name } = find(objects, 'Namespace').metadata
      const others = objects.filter(({ kind }) => kind !== 'Namespace').map(({ metadata }) => metadata.namespace)
      assert.deepEqual([...new Set(others)], [name])
    }
  })

  test('contain no Secret and no credentials', () => {
    const files = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.yaml'))
    for (const file of files) {
      assert.doesNotMatch(text(file), /kind: Secret\b|stringData|password|:\/\/[^/\s]*@/, file)
    }
  })
})
