import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../helpers/documents.ts'
import { once } from '../helpers/http.ts'
import { build } from '../helpers/kustomize.ts'
import { containerOf, environmentOf, find, SECRET } from '../helpers/pods.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService, temporaryFolder } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

const METRIC = 'cluster_worker_event_loop_utilization_ratio'

/** Writes a Secret as the kubelet does: each file is a link into a folder, and a new version replaces the link to that folder. */
function mountSecret(folder: string, version: string, values: Record<string, string>): void {
  mkdirSync(join(folder, `..${version}`), { recursive: true })
  for (const [key, value] of Object.entries(values)) {
    writeFileSync(join(folder, `..${version}`, key), value, { mode: 0o440 })
    if (version === '1') symlinkSync(join('..data', key), join(folder, key))
  }
  symlinkSync(`..${version}`, join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
}

test('the service runs with the settings and volumes of its pods: probes, admin port, a new token, and a stop', async (t) => {
  const deployment = find(build(join(ROOT, 'deploy/kubernetes/overlays/production')), 'Deployment')
  const [run, secrets] = [temporaryFolder(t), temporaryFolder(t)]
  // An emptyDir with fsGroup: anyone may write, and new files get the group.
  chmodSync(run, 0o2777)
  const values = { ...SECRET, 'redis-url': (await startRedis(t)).url }
  mountSecret(secrets, '1', values)
  const folders: Record<string, string> = { run, secrets }
  const mounted = Object.entries(environmentOf(deployment)).map(([name, value]) => {
    const mount = containerOf(deployment).volumeMounts.find(({ mountPath }: { mountPath: string }) =>
      value.startsWith(`${mountPath}/`)
    )
    return [name, mount ? value.replace(mount.mountPath, folders[mount.name]!) : value] as const
  })
  const env = { ...Object.fromEntries(mounted), PORT: '0', ADMIN_PORT: '0', WORKERS: '2' }
  const service = await startService(t, { env, runDir: join(run, 'service') })
  const adminPort = service.lines.find(({ msg }) => msg === 'muster started')!.adminPort as number

  const metrics = (token: string) => once(adminPort, 'GET', '/metrics', { authorization: `Bearer ${token}` })
  for (const path of ['/livez', '/readyz']) assert.equal((await once(service.port, 'GET', path)).status, 200, path)
  assert.equal((await once(service.port, 'GET', '/metrics')).status, 404)
  assert.equal((await metrics('')).status, 401)
  await until(async () => {
    const { body } = await metrics(values['metrics-token'])
    return ['0', '1'].every((slot) => body.includes(`${METRIC}{slot="${slot}"`))
  }, 'the metric that scales pods')

  const token = 'n'.repeat(64)
  mountSecret(secrets, '2', { ...values, 'metrics-token': token })
  assert.equal((await service.reload()).msg, 'rollout done')
  assert.deepEqual([(await metrics(token)).status, (await metrics(values['metrics-token'])).status], [200, 401])

  service.child.kill('SIGTERM')
  await until(async () => (await once(service.port, 'GET', '/readyz')).status === 503, '503 during LAME_DUCK')
  assert.equal((await once(service.port, 'POST', '/hits')).status, 200, 'nodes still send connections')
  assert.deepEqual(await service.exited, { code: 0, signal: null })
})
