import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { LIMITS } from '../../src/primary/policy/policy-limits.ts'
import { blocksOf, commandsOf, ROOT, readPage } from '../helpers/documents.ts'
import { build, type Manifest } from '../helpers/kustomize.ts'
import { containerOf, find, PRIMARY_BYTES, SECRET } from '../helpers/pods.ts'

const PAGE = 'docs/how-to/kubernetes.md'
const page = readPage(PAGE)
const commands = blocksOf(PAGE)
  .filter(({ language }) => language === 'sh')
  .flatMap(commandsOf)
const production = build(join(ROOT, 'deploy/kubernetes/overlays/production'))
const deployment = find(production, 'Deployment')
const namespace = find(production, 'Namespace').metadata.name
/** Programs that these tests, or tests of other pages, run. Those of a cluster are named as such by the page. */
const RUN_ELSEWHERE =
  /^(mkdir -p deploy|cp -r node_modules\/muster-serve\/|docker (build|push) |openssl rand |node scripts\/)/
const NEVER_RUN = ['create', 'apply', 'rollout', 'exec', 'get', 'set']

describe(PAGE, () => {
  test('names the commands that were never run, and has no other unknown ones', () => {
    const [sentence = ''] = /The commands of this page that talk to one[^.]*\./.exec(page.replaceAll('\n', ' ')) ?? []
    for (const command of commands) {
      const [, verb] = /^kubectl (?:--namespace \w+ )?(\w+)/.exec(command) ?? []
      if (verb === 'kustomize' || RUN_ELSEWHERE.test(command)) continue
      assert.ok(sentence.includes(`\`${verb ? 'kubectl ' : 'helm'}`), command)
      assert.ok(verb === undefined || (NEVER_RUN.includes(verb) && sentence.includes(verb)), command)
    }
    assert.ok(commands.length > 12)
  })

  test('names files, objects and the namespace as they are', () => {
    for (const command of commands) {
      for (const [path] of command.matchAll(/(?<= )(deploy\/kubernetes\/|scripts\/)\S+/g)) {
        assert.ok(existsSync(join(ROOT, path)), path)
      }
      for (const [, name] of command.matchAll(/deploy(?:ment)?\/(\w+)(?= |$)/g)) {
        if (name !== 'kubernetes') assert.equal(name, deployment.metadata.name, command)
      }
      if (/^kubectl --namespace/.test(command)) assert.ok(command.includes(`--namespace ${namespace} `), command)
    }
    assert.ok(commands.includes(`kubectl create namespace ${namespace}`))
    const metric = find(production, 'HorizontalPodAutoscaler').spec.metrics[0].pods.metric.name
    assert.ok(commands.some((command) => command.endsWith(`/namespaces/${namespace}/pods/*/${metric}'`)))
    for (const image of commands.filter((command) => command.startsWith('docker'))) {
      assert.ok(image.includes(containerOf(deployment).image), image)
    }
  })

  test('creates the Secret that the pods mount, with every key that they need', () => {
    const [create = ''] = commands.filter((command) => command.includes('create secret'))
    const { secretName } = deployment.spec.template.spec.volumes.find((one: Manifest) => one.secret).secret
    assert.ok(create.includes(`create secret generic ${secretName} `))
    const keys = [...create.matchAll(/--from-file=(\S+)/g)].map(([, key]) => key)
    assert.deepEqual(keys, Object.keys(SECRET))
    assert.deepEqual(
      [...page.matchAll(/^\| `([a-z-]+)` \| (?:all|the overlay)/gm)].map(([, key]) => key),
      keys
    )
  })

  test('lists every folder', () => {
    const folders = ['overlays', 'components'].flatMap((parent) =>
      readdirSync(join(ROOT, 'deploy/kubernetes', parent)).map((name) => `${parent}/${name}`)
    )
    const listed = [...page.matchAll(/^\| `((?:overlays|components)\/\w+)` \|/gm)].map(([, name]) => name)
    assert.deepEqual(listed.sort(), folders.sort())
  })

  test('has the numbers that the tests of the manifests use', () => {
    assert.ok(page.includes(`\`DRAIN_TIMEOUT\` + ${(2 * LIMITS.marginMs) / 1000} s`))
    assert.ok(page.includes(`\`LINGER_MAX_MEMORY\` + ${PRIMARY_BYTES / 2 ** 20} MiB`))
    assert.equal(LIMITS.bootAttempts, 3)
    assert.ok(page.includes('more than three times `BOOT_TIMEOUT`'))
    const { minReadySeconds, progressDeadlineSeconds } = deployment.spec
    assert.deepEqual([minReadySeconds, progressDeadlineSeconds], [10, 300], 'ten seconds, and five minutes')
    const { minReplicas, maxReplicas } = find(production, 'HorizontalPodAutoscaler').spec
    assert.deepEqual([minReplicas, maxReplicas], [3, 20], 'three to twenty pods')
  })
})
