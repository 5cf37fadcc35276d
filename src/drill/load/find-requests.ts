import { type Address, HttpConnection, NoAnswer } from './http-connection.ts'
import { type Answer, objectIn } from './parse-answer.ts'
import { failureOf, type RequestRecorder } from './request-recorder.ts'
import { type DrillRequest, requestsOf, textOf } from './requests.ts'

/** A request that is not answered within this time is left out: it may be an event stream. */
const PROBE_TIMEOUT_MS = 3000
const MAX_REQUESTS = 100
const FALLBACK: DrillRequest = { method: 'GET', path: '/' }
/** Fields of muster's own conventions that number requests, and the route that reads the number without counting. */
const NUMBERS = { counts: { field: 'hits', reads: '/hits' }, session: { field: 'visits', reads: '/session' } } as const

export interface FoundRequests {
  requests: DrillRequest[]
  signOut: DrillRequest | undefined
  /** Requests that were left out, with the reason. */
  leftOut: string[]
}

/** Returns the requests of the OpenAPI document at /docs/json; `GET /` when there is none. */
export async function readOpenApi(address: Address): Promise<DrillRequest[]> {
  const answer = await askOnce(address, { method: 'GET', path: '/docs/json' }).catch(() => undefined)
  const document = answer?.status === 200 ? objectIn(answer) : undefined
  const requests = document ? requestsOf(document) : []
  return requests.some(({ signsOut }) => !signsOut) ? requests : [FALLBACK]
}

/** Sends each request once and keeps those that are answered. @param areGiven by a file, which says what the answers number */
export async function probe(
  recorder: RequestRecorder,
  address: Address,
  all: readonly DrillRequest[],
  areGiven: boolean
): Promise<FoundRequests> {
  const signOut = all.find(({ signsOut }) => signsOut)
  const repeated = all.filter(({ signsOut }) => !signsOut).slice(0, MAX_REQUESTS)
  const found = await Promise.all(
    repeated.map(async (request) => {
      const answer = await probeOne(recorder, address, request)
      if (typeof answer === 'string') return `${request.method} ${request.path}: ${answer}`
      return areGiven ? request : { ...request, ...numbersOf(request, answer) }
    })
  )
  return {
    requests: found.filter((one) => typeof one !== 'string'),
    leftOut: found.filter((one) => typeof one === 'string'),
    signOut
  }
}

/** @returns the answer, or why there is no use in repeating the request */
async function probeOne(recorder: RequestRecorder, address: Address, request: DrillRequest): Promise<Answer | string> {
  try {
    const connection = await HttpConnection.open(address, PROBE_TIMEOUT_MS)
    // Nothing is tallied yet: a first answer may already tell which number it is.
    const { counts: _, session: __, ...plain } = request
    const answer = await recorder.send(connection, plain).finally(() => connection.close())
    const failure = failureOf(answer)
    return failure === undefined ? answer : `answers with ${failure}`
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error
    return error.failure === 'late' ? `no complete answer in ${PROBE_TIMEOUT_MS} ms` : 'no answer'
  }
}

function numbersOf({ method, path }: DrillRequest, answer: Answer): Pick<DrillRequest, 'counts' | 'session'> {
  const values = objectIn(answer) ?? {}
  const fieldOf = (name: keyof typeof NUMBERS) => {
    const { field, reads } = NUMBERS[name]
    const isCounted = Number.isInteger(values[field]) && (path !== reads || method !== 'GET')
    return isCounted ? { [name]: field } : {}
  }
  return { ...fieldOf('counts'), ...fieldOf('session') }
}

/** Sends one request on a connection of its own, and counts nothing. @throws NoAnswer */
export async function askOnce(address: Address, request: DrillRequest, timeoutMs = PROBE_TIMEOUT_MS): Promise<Answer> {
  const connection = await HttpConnection.open(address, timeoutMs)
  return connection.request(textOf(request)).finally(() => connection.close())
}
