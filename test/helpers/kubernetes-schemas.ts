import type { Manifest } from './kustomize.ts'
import { nameOf } from './kustomize.ts'

/** The npm package that has the models of an API group. The groups of Kubernetes itself are in `kubernetes-models`. */
const PACKAGES: Record<string, string> = {
  'keda.sh': '@kubernetes-models/keda',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator'
}
/** `validate` checks `this`, and throws. */
type Model = { prototype: { validate(): void } }

/**
 * Validates an object by the schema of its kind, and finds fields that the schema does not have. Kubernetes drops such a field,
 * so a misspelled one would have no effect.
 * @returns one line per fault
 */
export async function faultsOf(object: Manifest): Promise<string[]> {
  const [group = ''] = object.apiVersion.split('/')
  const from = PACKAGES[group] ?? 'kubernetes-models'
  const models = (await import(`${from}/${object.apiVersion}/${object.kind}`)) as Record<string, Model>
  const reads = new Set<unknown>()
  const faults: string[] = []
  try {
    models[object.kind]!.prototype.validate.call(recorded(object, '', reads))
  } catch (error) {
    faults.push(`${nameOf(object)}: ${(error as Error).message}`)
  }
  const unknown = pathsOf(object, '').filter((path) => !reads.has(path))
  return [...faults, ...unknown.map((path) => `${nameOf(object)}: unknown field ${path}`)]
}

/** A view of a value that notes the path of each field that is read: a validator reads exactly those that its schema has. */
function recorded<T>(value: T, path: string, reads: Set<unknown>): T {
  if (typeof value !== 'object' || value === null) return value
  return new Proxy(value, {
    get(target, name) {
      const at = `${path}/${String(name)}`
      reads.add(at)
      return recorded(Reflect.get(target, name), at, reads)
    }
  })
}

const pathsOf = (value: unknown, path: string): string[] =>
  typeof value !== 'object' || value === null
    ? []
    : Object.entries(value).flatMap(([name, item]) => [`${path}/${name}`, ...pathsOf(item, `${path}/${name}`)])
