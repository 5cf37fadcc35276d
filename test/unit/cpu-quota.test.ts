import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { cpuQuota, parseCpuMax, usableCpus } from '../../src/config/cpu-quota.ts'
import { temporaryFolder } from '../helpers/service.ts'

/** A root of a file system that has these files. */
function rootWith(t: TestContext, files: Record<string, string>): string {
  const root = temporaryFolder(t)
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), `${content}\n`)
  }
  return root
}

describe('cgroup v2', () => {
  test('a container sees its own cgroup as the top', (t) => {
    const root = rootWith(t, { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': '150000 100000' })
    assert.equal(cpuQuota(root), 1.5)
  })

  test('the smallest quota of nested slices counts, on whatever level', (t) => {
    const files = {
      'proc/self/cgroup': '0::/system.slice/web.slice/muster.service',
      'sys/fs/cgroup/system.slice/cpu.max': '400000 100000',
      'sys/fs/cgroup/system.slice/web.slice/cpu.max': '100000 50000',
      'sys/fs/cgroup/system.slice/web.slice/muster.service/cpu.max': 'max 100000'
    }
    assert.equal(cpuQuota(rootWith(t, files)), 2)
    const own = 'sys/fs/cgroup/system.slice/web.slice/muster.service/cpu.max'
    assert.equal(cpuQuota(rootWith(t, { ...files, [own]: '25000 100000' })), 0.25)
  })

  test("a cgroup outside of the container's namespace has no folder: the top counts", (t) => {
    const root = rootWith(t, { 'proc/self/cgroup': '0::/../other', 'sys/fs/cgroup/cpu.max': '300000 100000' })
    assert.equal(cpuQuota(root), 3)
  })
})

describe('cgroup v1', () => {
  test("docker: the path is the host's, the mount is the container's own folder", (t) => {
    for (const mount of ['cpu', 'cpu,cpuacct']) {
      const root = rootWith(t, {
        'proc/self/cgroup': '5:memory:/docker/4f1c\n4:cpu,cpuacct:/docker/4f1c\n1:name=systemd:/docker/4f1c\n0::/',
        [`sys/fs/cgroup/${mount}/cpu.cfs_quota_us`]: '250000',
        [`sys/fs/cgroup/${mount}/cpu.cfs_period_us`]: '100000'
      })
      assert.equal(cpuQuota(root), 2.5, mount)
    }
  })

  test('on the host, a cgroup of its own below one without a limit', (t) => {
    const root = rootWith(t, {
      'proc/self/cgroup': '1:cpu:/web:a\n0::/',
      'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1',
      'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000',
      'sys/fs/cgroup/cpu/web:a/cpu.cfs_quota_us': '50000',
      'sys/fs/cgroup/cpu/web:a/cpu.cfs_period_us': '100000'
    })
    assert.equal(cpuQuota(root), 0.5)
  })

  test('cpuset and cpuacct alone set no quota', (t) => {
    const root = rootWith(t, {
      'proc/self/cgroup': '3:cpuset:/\n2:cpuacct:/',
      'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000',
      'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000'
    })
    assert.equal(cpuQuota(root), undefined)
  })
})

test('without cgroups, as on other systems than Linux, there is no limit', (t) => {
  assert.equal(cpuQuota(temporaryFolder(t)), undefined)
  assert.equal(usableCpus(temporaryFolder(t)), availableParallelism())
})

test('every form of cpu.max is understood', () => {
  const cases: [text: string, cores: number | undefined][] = [
    ['max 100000', undefined],
    ['50000 100000', 0.5],
    ['100000', undefined],
    ['', undefined],
    ['0 100000', undefined],
    ['lots 100000', undefined],
    ['100000 0', undefined]
  ]
  for (const [text, cores] of cases) assert.equal(parseCpuMax(text), cores, text)
})

test('the number of processes is rounded up, at least 1 and at most the number of cores', (t) => {
  const quota = (cpuMax: string) =>
    usableCpus(rootWith(t, { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': cpuMax }))
  assert.equal(quota('1000 100000'), 1)
  assert.equal(quota('101000 100000'), Math.min(2, availableParallelism()))
  assert.equal(quota('99900000 100000'), availableParallelism())
  assert.equal(quota('max 100000'), availableParallelism())
})
