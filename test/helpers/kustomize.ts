import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'

/** An object of Kubernetes. Tests look at many kinds, so its fields have no types. */
// biome-ignore lint/suspicious/noExplicitAny: manifests are data of many shapes
export type Manifest = Record<string, any>

/** The fields of a kustomization that {@link build} understands. */
interface Kustomization {
  apiVersion: string
  kind: string
  namespace?: string
  resources?: string[]
  components?: string[]
  patches?: { path: string }[]
  images?: { name: string; newName: string; newTag: string }[]
}
const KNOWN = ['apiVersion', 'kind', 'namespace', 'resources', 'components', 'patches', 'images']

/** The field that identifies the items of a list, by the name of the list: `x-kubernetes-patch-merge-key` of the API. */
const MERGE_KEYS: Record<string, string> = {
  containers: 'name',
  initContainers: 'name',
  env: 'name',
  volumes: 'name',
  volumeMounts: 'mountPath',
  ports: 'containerPort',
  topologySpreadConstraints: 'topologyKey'
}

/**
 * Builds a folder as `kubectl kustomize` does, as far as the manifests of this project need it.
 * @throws on a field of a kustomization that is not known here, and on a patch without an object
 */
export function build(folder: string): Manifest[] {
  const kustomization: Kustomization = parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8'))
  const unknown = Object.keys(kustomization).filter((field) => !KNOWN.includes(field))
  if (unknown.length > 0) throw new Error(`${folder}: this test does not know ${unknown.join(', ')}`)
  const { resources = [], components = [], patches = [], images = [], namespace } = kustomization
  let objects = [...resources, ...components].flatMap((path) =>
    path.endsWith('.yaml') ? read(join(folder, path)) : build(join(folder, path))
  )
  for (const patch of patches.flatMap(({ path }) => read(join(folder, path)))) objects = patched(objects, patch)
  for (const { name, newName, newTag } of images) {
    for (const container of objects.flatMap((one) => one.spec?.template?.spec.containers ?? [])) {
      if (container.image === name) container.image = `${newName}:${newTag}`
    }
  }
  return namespace === undefined ? objects : objects.map((one) => inNamespace(one, namespace))
}

const read = (file: string): Manifest[] =>
  parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Manifest)

/** What identifies an object: kind and name. */
export const nameOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.name}`

function patched(objects: Manifest[], patch: Manifest): Manifest[] {
  if (!objects.some((one) => nameOf(one) === nameOf(patch))) throw new Error(`no object for ${nameOf(patch)}`)
  return objects.map((one) => (nameOf(one) === nameOf(patch) ? (merge(one, patch, '') as Manifest) : one))
}

/** A strategic merge: maps are merged, lists of MERGE_KEYS by their key, and everything else is replaced. */
export function merge(old: unknown, patch: unknown, field: string): unknown {
  const { [field]: key } = MERGE_KEYS
  if (Array.isArray(patch)) return key && Array.isArray(old) ? mergeLists(old, patch, key) : patch
  if (!isMap(old) || !isMap(patch)) return patch
  const merged = Object.entries(patch).map(([name, value]) => [name, merge(old[name], value, name)])
  return { ...old, ...Object.fromEntries(merged) }
}

/** The items of the patch come first, as Kustomize has it. */
function mergeLists(old: Manifest[], patch: Manifest[], key: string): Manifest[] {
  const changed = patch.map((item) => {
    const before = old.find((other) => other[key] === item[key])
    return before ? (merge(before, item, '') as Manifest) : item
  })
  return [...changed, ...old.filter((item) => !patch.some((other) => other[key] === item[key]))]
}

const isMap = (value: unknown): value is Manifest =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function inNamespace(object: Manifest, namespace: string): Manifest {
  const changed = object.kind === 'Namespace' ? { name: namespace } : { namespace }
  return { ...object, metadata: { ...object.metadata, ...changed } }
}
