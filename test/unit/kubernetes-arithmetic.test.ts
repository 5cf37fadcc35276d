import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ROOT } from '../helpers/documents.ts'
import { build, type Manifest, merge } from '../helpers/kustomize.ts'
import { brokenRules, containerOf, find } from '../helpers/pods.ts'

const overlay = (name: string) => build(join(ROOT, 'deploy/kubernetes/overlays', name))

/** The overlay after a change of its Deployment, and what the change is to. */
const changed = (name: string, change: (deployment: Manifest, container: Manifest) => void): Manifest[] => {
  const objects = structuredClone(overlay(name))
  const deployment = find(objects, 'Deployment')
  change(deployment, containerOf(deployment))
  return objects
}
const set = (container: Manifest, name: string, value: string) => {
  container.env = merge(container.env, [{ name, value }], 'env')
}

const GRACE = 'the grace period is longer than LAME_DUCK + DRAIN_TIMEOUT, with a margin'
const NOTICE = 'LAME_DUCK is long enough for nodes to learn that the pod leaves'
const IDLE = 'idle connections end before DRAIN_TIMEOUT cuts them'
const STARTUP = 'a boot that fails ends before the startup probe does'
const LIVENESS = 'the liveness probe waits for the replacement of a hung worker'
const PROBES = 'a probe ends before the next one begins'
const PROGRESS = 'a rollout is given up later than a pod that starts'
const CPU = 'each worker has a core'
const MEMORY = 'a worker that grows is replaced, and all fit into the memory'
const SNAPSHOT = 'a heap snapshot fits into RUN_DIR'
const PODS = 'a pod is left while one leaves'

/** A change, and the rule that it breaks. */
const WRONG: [string, string, (deployment: Manifest, container: Manifest) => void][] = [
  ['a longer LAME_DUCK', GRACE, (_, container) => set(container, 'LAME_DUCK', '60000')],
  ['a longer DRAIN_TIMEOUT', GRACE, (_, container) => set(container, 'DRAIN_TIMEOUT', '120000')],
  ['a shorter grace period', GRACE, ({ spec }) => void (spec.template.spec.terminationGracePeriodSeconds = 30)],
  ['no LAME_DUCK', NOTICE, (_, container) => set(container, 'LAME_DUCK', '')],
  ['the default DRAIN_TIMEOUT', IDLE, (_, container) => set(container, 'DRAIN_TIMEOUT', '')],
  ['a longer BOOT_TIMEOUT', STARTUP, (_, container) => set(container, 'BOOT_TIMEOUT', '30000')],
  ['fewer startup probes', STARTUP, (_, container) => void (container.startupProbe.failureThreshold = 20)],
  ['a longer HEARTBEAT_TIMEOUT', LIVENESS, (_, container) => set(container, 'HEARTBEAT_TIMEOUT', '60000')],
  ['a stricter liveness probe', LIVENESS, (_, container) => void (container.livenessProbe.failureThreshold = 2)],
  ['a slow probe', PROBES, (_, container) => void (container.readinessProbe.timeoutSeconds = 10)],
  ['a shorter deadline of rollouts', PROGRESS, ({ spec }) => void (spec.progressDeadlineSeconds = 60)],
  ['more workers', CPU, (_, container) => set(container, 'WORKERS', '8')],
  ['a range of more workers', CPU, (_, container) => set(container, 'WORKERS', '2..8')],
  ['a higher MAX_MEMORY', MEMORY, (_, container) => set(container, 'MAX_MEMORY', '500')],
  ['no MAX_MEMORY', MEMORY, (_, container) => set(container, 'MAX_MEMORY', '0')],
  ['more memory for lingering workers', MEMORY, (_, container) => set(container, 'LINGER_MAX_MEMORY', '2048')],
  ['less memory', MEMORY, (_, container) => void (container.resources.limits.memory = '512Mi')],
  ['a small RUN_DIR', SNAPSHOT, ({ spec }) => void (spec.template.spec.volumes[0].emptyDir.sizeLimit = '256Mi')]
]

for (const name of ['small', 'production']) {
  describe(`the numbers of overlay ${name}`, () => {
    test('fit the service and its defaults', (t) => assert.deepEqual(brokenRules(t, overlay(name)), []))

    for (const [what, rule, change] of WRONG) {
      test(`no longer fit after this change: ${what}`, (t) => {
        assert.ok(brokenRules(t, changed(name, change)).includes(rule), rule)
      })
    }
  })
}

test('a single pod does not fit the disruption budget', (t) => {
  const objects = changed('small', ({ spec }) => void (spec.replicas = 1))
  assert.deepEqual(brokenRules(t, objects), [PODS])
})

test('one more core without memory does not fit where WORKERS follows the cores', (t) => {
  const objects = changed('small', (_, container) => void (container.resources.limits.cpu = '4'))
  assert.deepEqual(brokenRules(t, objects), [MEMORY])
})
