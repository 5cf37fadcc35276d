/** A request that the drill repeats. */
export interface DrillRequest {
  method: string
  /** Begins with a slash. */
  path: string
  headers?: Record<string, string>
  /** Text, or JSON. */
  body?: unknown
  /** The field of the answer that numbers the requests of all clients: no two may get the same number. */
  counts?: string
  /** The field of the answer that numbers the requests of one session. */
  session?: string
  /** The request ends the session. */
  signsOut?: boolean
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']
const FIELDS = ['method', 'path', 'headers', 'body', 'counts', 'session', 'signsOut']
/** Paths that the service itself adds. */
const OF_SERVICE = /^\/(admin|docs|metrics|livez|readyz|healthz)(\/|$)/

/**
 * Reads the file of `--requests`: a JSON array of requests, or of texts such as `GET /todos`.
 * @returns the requests, and everything that is wrong with them
 */
export function parseRequests(text: string): { requests: DrillRequest[]; issues: string[] } {
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch (error) {
    return { requests: [], issues: [`is no JSON: ${(error as Error).message}`] }
  }
  if (!Array.isArray(list) || list.length === 0) {
    return { requests: [], issues: ['must be a JSON array of requests, such as ["GET /todos"]'] }
  }
  const requests = list.map((one) => (typeof one === 'string' ? fromText(one) : (one as DrillRequest)))
  return {
    requests,
    issues: requests.flatMap((request, i) => issuesOf(request).map((issue) => `request ${i + 1} ${issue}`))
  }
}

function fromText(text: string): DrillRequest {
  const [first = '', second] = text.trim().split(/\s+/)
  return second === undefined ? { method: 'GET', path: first } : { method: first, path: second }
}

function issuesOf(request: Partial<Record<string, unknown>> | DrillRequest | null): string[] {
  if (typeof request !== 'object' || request === null) return ['must be a text or an object']
  const { method, path, headers = {}, counts, session } = request as Record<string, unknown>
  const unknown = Object.keys(request).filter((name) => !FIELDS.includes(name))
  const isText = (value: unknown) => value === undefined || typeof value === 'string'
  const areTexts =
    typeof headers === 'object' && headers !== null && Object.values(headers).every((value) => isText(value))
  const breaks = [path, ...(areTexts ? Object.entries(headers as object).flat() : [])].some((value) =>
    /[\r\n]/.test(`${value}`)
  )
  return [
    ...unknown.map((name) => `has the unknown field ${name}: it takes ${FIELDS.join(', ')}`),
    ...(METHODS.includes(method as string)
      ? []
      : [`has the method ${JSON.stringify(method)}: use ${METHODS.join(', ')}`]),
    ...(typeof path === 'string' && /^\/\S*$/.test(path) ? [] : ['needs a path that begins with / and has no spaces']),
    ...(areTexts ? [] : ['needs headers that are texts']),
    ...(isText(counts) && isText(session) ? [] : ['needs the name of a field in counts and session']),
    ...(breaks ? ['must not have line breaks in path and headers'] : [])
  ]
}

interface Parameter {
  name: string
  in: string
  required?: boolean
  schema?: { type?: string; enum?: unknown[]; default?: unknown; minimum?: number; format?: string }
  example?: unknown
}

interface Operation {
  parameters?: Parameter[]
  requestBody?: unknown
}

/**
 * Makes requests of the GETs of an OpenAPI document, without those of the service itself. Parameters get values that fit their type.
 * `POST /hits` and `DELETE /session` of muster's own conventions are added, where the document has them.
 */
export function requestsOf(document: { paths?: Record<string, Record<string, Operation>> }): DrillRequest[] {
  const paths = Object.entries(document.paths ?? {}).filter(([path]) => !OF_SERVICE.test(path))
  const gets = paths.flatMap(([path, { get }]) =>
    get ? [{ method: 'GET', path: fill(path, get.parameters ?? []) }] : []
  )
  const has = (path: string, method: string) => document.paths?.[path]?.[method] !== undefined
  return [
    ...gets,
    ...(has('/hits', 'post') ? [{ method: 'POST', path: '/hits' }] : []),
    ...(has('/session', 'delete') ? [{ method: 'DELETE', path: '/session', signsOut: true }] : [])
  ]
}

function fill(template: string, parameters: Parameter[]): string {
  const path = template.replace(/\{([^}]+)\}/g, (_, name: string) => {
    const parameter = parameters.find((one) => one.in === 'path' && one.name === name)
    return encodeURIComponent(exampleOf(parameter))
  })
  const query = parameters
    .filter((one) => one.in === 'query' && one.required)
    .map((one) => `${encodeURIComponent(one.name)}=${encodeURIComponent(exampleOf(one))}`)
  return query.length > 0 ? `${path}?${query.join('&')}` : path
}

function exampleOf({ schema = {}, example }: Partial<Parameter> = {}): string {
  const { type, format, enum: values = [], default: fallback, minimum = 1 } = schema
  const given = example ?? fallback ?? values[0]
  if (given !== undefined) return String(given)
  if (type === 'integer' || type === 'number') return String(minimum)
  if (type === 'boolean') return 'true'
  return format === 'uuid' ? '00000000-0000-4000-8000-000000000000' : 'drill'
}

/** Returns the head and the body of a request, as they are sent. */
export function textOf({ method, path, headers = {}, body }: DrillRequest, cookie = ''): string {
  const isText = typeof body === 'string'
  const content = body === undefined ? '' : isText ? body : JSON.stringify(body)
  const length = Buffer.byteLength(content)
  const all = {
    host: 'localhost',
    accept: 'application/json',
    ...(cookie && { cookie }),
    ...(body !== undefined && { 'content-type': isText ? 'text/plain' : 'application/json' }),
    ...(length > 0 || /^P/.test(method) ? { 'content-length': String(length) } : {}),
    ...lowerCase(headers)
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${content}`
}

const lowerCase = (headers: Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
