import type { ProfileOrigin } from '../ipc/profile-origin.ts'

interface CallFrame {
  readonly functionName: string
  readonly url: string
  /** Counted from 0, as V8 does. */
  readonly lineNumber: number
  readonly columnNumber: number
}

export interface ProfileNode {
  readonly id: number
  readonly callFrame: CallFrame
  readonly children?: readonly number[]
}

/** The parts of a V8 .cpuprofile that are read. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  /** Node ids, one per sample. V8 looks at the stack about every ms. */
  readonly samples: readonly number[]
  /** Time of the first and the last sample, in µs. */
  readonly startTime?: number
  readonly endTime?: number
  /** Added by the service; profiles of other programs have none. */
  readonly muster?: ProfileOrigin
}

/** A function that was seen in a profile. */
export interface ProfiledFunction {
  /** The same for the same function of another profile. */
  readonly key: string
  readonly name: string
  /** Path below the app, the package or Node; empty for functions of V8. */
  readonly file: string
  /** Counted from 1; 0 for functions of V8. */
  readonly line: number
  readonly column: number
  /** `app`, `muster`, `node`, `native`, or the name of a package. */
  readonly owner: string
}

/** Reads a .cpuprofile. @throws Error that says what is wrong */
export function readCpuProfile(text: string): CpuProfile {
  let profile: Partial<CpuProfile> | null
  try {
    profile = JSON.parse(text) as typeof profile
  } catch (error) {
    throw new Error(`not a CPU profile: ${(error as Error).message}`)
  }
  if (!Array.isArray(profile?.nodes) || !Array.isArray(profile.samples) || !profile.nodes.every(isNode)) {
    throw new Error('not a CPU profile: a .cpuprofile file has nodes and samples')
  }
  return profile as CpuProfile
}

const isNode = (node: Partial<ProfileNode> | null) =>
  Number.isInteger(node?.id) &&
  typeof node?.callFrame?.functionName === 'string' &&
  typeof node.callFrame.url === 'string'

/** Time without work, and the start of the profile itself, which is not the work of the service. */
export const isLeftOut = ({ callFrame: { functionName, url } }: ProfileNode): boolean =>
  functionName === '(idle)' || functionName === '(root)' || url.startsWith('node:inspector')

/** @param origin tells the files of the app from those of the service */
export function describeFunction({ callFrame }: ProfileNode, origin?: ProfileOrigin): ProfiledFunction {
  const { functionName, url, lineNumber = -1, columnNumber = -1 } = callFrame
  const { file, owner } = locate(url, origin)
  const name = functionName || '(anonymous)'
  const [line, column] = file === '' ? [0, 0] : [lineNumber + 1, columnNumber + 1]
  // An edit above a function moves it, so a name says more than a line; functions without a name have only their place.
  const place = functionName === '' ? ` ${line}:${column}` : ''
  return { key: `${owner} ${file} ${name}${place}`, name, file, line, column, owner }
}

function locate(url: string, origin?: ProfileOrigin): { file: string; owner: string } {
  if (url === '') return { file: '', owner: 'native' }
  if (url.startsWith('node:')) return { file: url, owner: 'node' }
  const path = decode(url.replace(/^file:\/\//, ''))
  const inService = below(origin?.service, path)
  if (inService !== undefined && !inService.startsWith('routes/'))
    return { file: `muster/${inService}`, owner: 'muster' }
  const [, name, rest] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(.*)/.exec(path) ?? []
  if (name !== undefined) return { file: `${name}/${rest}`, owner: name }
  // Without a known folder, the name of the file alone is the same in every release.
  const file = origin?.root === undefined ? path.replace(/.*\//, '') : (below(origin.root, path) ?? path)
  return { file, owner: 'app' }
}

const below = (folder: string | undefined, path: string): string | undefined =>
  folder !== undefined && path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : undefined

function decode(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** Busy samples and all samples, over all profiles. */
export function sampleCounts(profiles: readonly CpuProfile[]): { busy: number; all: number } {
  let [busy, all] = [0, 0]
  for (const { nodes, samples } of profiles) {
    const leftOut = new Set(nodes.filter(isLeftOut).map(({ id }) => id))
    all += samples.length
    for (const id of samples) if (!leftOut.has(id)) busy++
  }
  return { busy, all }
}
