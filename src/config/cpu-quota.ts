import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, normalize } from 'node:path'

/** The mount points of cgroup v1's cpu controller, below /sys/fs/cgroup. */
const V1_MOUNTS = ['cpu', 'cpu,cpuacct']

/** The number of processes that can run at once: the cores of this process, or fewer when its cgroup has a CPU quota. */
export function usableCpus(root = '/'): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(cpuQuota(root) ?? Number.POSITIVE_INFINITY)))
}

/**
 * Reads the smallest CPU quota of this process's cgroup and the cgroups above it. In a container the path in
 * /proc/self/cgroup may be the host's; then only the top folder of the mount exists.
 * @param root the root of the file system, for tests
 * @returns the quota in cores; undefined when there is none
 */
export function cpuQuota(root = '/'): number | undefined {
  const quotas = (read(join(root, 'proc/self/cgroup')) ?? '').split('\n').flatMap((line) => {
    const [, id, controllers = '', path = ''] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? []
    const foldersIn = (mount: string) => withParents(path).map((parent) => join(root, 'sys/fs/cgroup', mount, parent))
    if (id === '0') return foldersIn('').flatMap((folder) => quotaV2(folder) ?? [])
    if (!controllers.split(',').includes('cpu')) return []
    return V1_MOUNTS.flatMap(foldersIn).flatMap((folder) => quotaV1(folder) ?? [])
  })
  return quotas.length > 0 ? Math.min(...quotas) : undefined
}

/** Parses `cpu.max`: quota and period in µs, such as "150000 100000", or "max 100000". @returns as {@link cpuQuota} */
export function parseCpuMax(text: string): number | undefined {
  const [quota, period] = text.trim().split(/\s+/)
  return inCores(quota, period)
}

const quotaV2 = (folder: string) => parseCpuMax(read(join(folder, 'cpu.max')) ?? '')
/** A quota of -1 means no limit. */
const quotaV1 = (folder: string) =>
  inCores(read(join(folder, 'cpu.cfs_quota_us')), read(join(folder, 'cpu.cfs_period_us')))

function inCores(quota: string | undefined, period: string | undefined): number | undefined {
  const cores = Number(quota) / Number(period)
  return cores > 0 && Number.isFinite(cores) ? cores : undefined
}

/** "/a/b" becomes "/a/b", "/a", "/". A path out of the cgroup namespace, "/../a", is read as "/a". */
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
