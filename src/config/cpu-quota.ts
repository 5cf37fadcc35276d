import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, normalize } from 'node:path'

/** Where cgroup v1 is mounted with the cpu controller. */
const V1_MOUNTS = ['cpu', 'cpu,cpuacct']

/** How many processes can run at once: the cores this one may use, or fewer where its cgroup has a smaller CPU quota. */
export function usableCpus(root = '/'): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(cpuQuota(root) ?? Number.POSITIVE_INFINITY)))
}

/**
 * The CPU time that the cgroup of this process and those above it allow, in cores; the smallest counts. Undefined: no
 * limit. In a container the path in /proc/self/cgroup may be the host's, and then only the mount's own folder is there.
 * @param root of the file system, for tests
 */
export function cpuQuota(root = '/'): number | undefined {
  const quotas = (read(join(root, 'proc/self/cgroup')) ?? '').split('\n').flatMap((line) => {
    const [, id, controllers = '', path = ''] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? []
    const mounts = id === '0' ? [''] : controllers.split(',').includes('cpu') ? V1_MOUNTS : []
    const folders = mounts.flatMap((mount) => withParents(path).map((one) => join(root, 'sys/fs/cgroup', mount, one)))
    return folders.flatMap((folder) => (id === '0' ? quotaOfV2(folder) : quotaOfV1(folder)) ?? [])
  })
  return quotas.length > 0 ? Math.min(...quotas) : undefined
}

/** @param text of `cpu.max`: "150000 100000" or "max 100000", quota and period in µs */
export function parseCpuMax(text: string): number | undefined {
  const [quota, period] = text.trim().split(/\s+/)
  return inCores(quota, period)
}

const quotaOfV2 = (folder: string) => parseCpuMax(read(join(folder, 'cpu.max')) ?? '')
/** A quota of -1 is none. */
const quotaOfV1 = (folder: string) =>
  inCores(read(join(folder, 'cpu.cfs_quota_us')), read(join(folder, 'cpu.cfs_period_us')))

function inCores(quota: string | undefined, period: string | undefined): number | undefined {
  const cores = Number(quota) / Number(period)
  return cores > 0 && Number.isFinite(cores) ? cores : undefined
}

/** "/a/b" → "/a/b", "/a", "/"; a path that leaves the namespace of cgroups, "/../a", is taken from its top. */
function withParents(path: string): string[] {
  const folder = normalize(path)
  return folder === '/' ? ['/'] : [folder, ...withParents(dirname(folder))]
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
