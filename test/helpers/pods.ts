import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, loadConfig } from '../../src/config/load.ts'
import { LIMITS } from '../../src/primary/policy/policy-limits.ts'
import type { Cleans } from './cleanup.ts'
import { ROOT } from './documents.ts'
import type { Manifest } from './kustomize.ts'
import { temporaryFolder } from './service.ts'

const MIB = 2 ** 20
/** Memory reserved for the primary, which docs/how-to/kubernetes.md names: it has about half of it. */
export const PRIMARY_BYTES = 128 * MIB
/** A reload or a recycle starts one worker beside the wanted ones whatever memory is left, and a reload more only while there is room. */
const SURPLUS_WORKERS = 1
/** What docs/explanation/reload.md says of a stop: idle connections end this long after KEEP_ALIVE_TIMEOUT. */
const IDLE_END_MS = 3000
/** The keys of the Secret that docs/how-to/kubernetes.md creates. */
export const SECRET = {
  'redis-url': 'redis://:password@redis.example:6379',
  'session-secret': 's'.repeat(64),
  'metrics-token': 'm'.repeat(64)
}
/** The kinds of objects that decide the number of pods. */
const SCALERS = ['HorizontalPodAutoscaler', 'ScaledObject']

export const find = (objects: Manifest[], kind: string, name = 'muster'): Manifest => {
  const found = objects.find((one) => one.kind === kind && one.metadata.name === name)
  if (!found) throw new Error(`there is no ${kind} ${name}`)
  return found
}
export const containerOf = (deployment: Manifest): Manifest => deployment.spec.template.spec.containers[0]

/** The environment in the container: what the image sets, and what the manifest sets. */
export function environmentOf(deployment: Manifest): Record<string, string> {
  const image = /^ENV (.*)$/m.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'))![1]!
  const ofImage = image.split(' ').map((one) => one.split('=') as [string, string])
  const own = containerOf(deployment).env as { name: string; value: string }[]
  return { ...Object.fromEntries(ofImage), ...Object.fromEntries(own.map(({ name, value }) => [name, value])) }
}

/**
 * The configuration of the service in the pod. The volume of the Secret is a folder that the test makes.
 * @throws as `loadConfig` does
 */
export function configOf(t: Cleans, deployment: Manifest): Config {
  const folder = join(temporaryFolder(t), 'secrets')
  mkdirSync(folder)
  for (const [key, value] of Object.entries(SECRET)) writeFileSync(join(folder, key), value)
  const mount = containerOf(deployment).volumeMounts.find(({ name }: Manifest) => name === 'secrets').mountPath
  const entries = Object.entries(environmentOf(deployment))
  return loadConfig(Object.fromEntries(entries.map(([name, value]) => [name, value.replace(mount, folder)])))
}

/** Bytes of "1Gi", or cores of "500m": the quantities that the manifests have. */
export function quantity(text: string): number {
  const [, number, unit = ''] = /^(\d+)(m|Mi|Gi|)$/.exec(text) ?? []
  if (number === undefined) throw new Error(`not a quantity that this test knows: ${text}`)
  return Number(number) * { m: 0.001, Mi: MIB, Gi: 1024 * MIB, '': 1 }[unit]!
}

/** The most workers that there are: one per core of the limit, rounded up, unless WORKERS is a number or a range. */
function workersOf({ variables, workers, maxWorkers, autoscaling }: Config, cores: number): number {
  if (variables.WORKERS === 'auto') return Math.min(Math.ceil(cores), maxWorkers)
  return autoscaling.range?.max ?? workers
}

const windowMs = (probe: Manifest) => probe.periodSeconds * probe.failureThreshold * 1000

/**
 * Checks that the numbers of the manifests fit those of the service, after its own defaults.
 * @returns the names of the rules that are broken
 */
export function brokenRules(t: Cleans, objects: Manifest[]): string[] {
  const deployment = find(objects, 'Deployment')
  const { spec } = deployment.spec.template
  const { resources, startupProbe, readinessProbe, livenessProbe } = containerOf(deployment)
  const config = configOf(t, deployment)
  const { limits } = config
  const cores = quantity(resources.limits.cpu)
  const memory = quantity(resources.limits.memory)
  const workers = workersOf(config, cores)
  const lingering = config.variables.LINGER_MAX_MEMORY === null ? memory / 4 : limits.maxLingeringBytes
  const needed = PRIMARY_BYTES + (workers + SURPLUS_WORKERS) * limits.maxMemoryBytes + lingering
  const scratch = spec.volumes.find(({ name }: Manifest) => name === 'run').emptyDir.sizeLimit
  const scaler = objects.find(({ kind }) => SCALERS.includes(kind))?.spec
  const fewestPods = scaler?.minReplicas ?? scaler?.minReplicaCount ?? deployment.spec.replicas ?? 1
  const stopMs = config.lameDuckMs + config.drainMs + LIMITS.marginMs
  const holds = {
    'the grace period is longer than LAME_DUCK + DRAIN_TIMEOUT, with a margin':
      spec.terminationGracePeriodSeconds * 1000 > stopMs + LIMITS.marginMs,
    'LAME_DUCK is long enough for nodes to learn that the pod leaves': config.lameDuckMs >= 5000,
    'idle connections end before DRAIN_TIMEOUT cuts them': config.drainMs > config.http.keepAliveMs + IDLE_END_MS,
    'a boot that fails ends before the startup probe does':
      windowMs(startupProbe) > LIMITS.bootAttempts * limits.bootMs,
    'the liveness probe waits for the replacement of a hung worker':
      windowMs(livenessProbe) > limits.heartbeatMs + limits.bootMs,
    'a probe ends before the next one begins': [startupProbe, readinessProbe, livenessProbe].every(
      ({ timeoutSeconds, periodSeconds }) => timeoutSeconds <= periodSeconds
    ),
    'a rollout is given up later than a pod that starts':
      deployment.spec.progressDeadlineSeconds * 1000 > windowMs(startupProbe) + deployment.spec.minReadySeconds * 1000,
    'each worker has a core': workers <= cores && quantity(resources.requests.cpu) <= cores,
    'a worker that grows is replaced, and all fit into the memory': limits.maxMemoryBytes > 0 && memory >= needed,
    'a heap snapshot fits into RUN_DIR': quantity(scratch) >= 2 * limits.maxMemoryBytes,
    'a pod is left while one leaves': fewestPods > find(objects, 'PodDisruptionBudget').spec.maxUnavailable
  }
  return Object.entries(holds).flatMap(([rule, isKept]) => (isKept ? [] : [rule]))
}
