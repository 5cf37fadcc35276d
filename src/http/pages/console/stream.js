// The operator's token, and the stream of events. The token is stored in this tab only.

import { $ } from './page.js'

const TOKEN_KEY = 'muster.token'
const RECONNECT_MS = 300 // after a stream that ended
const RETRY_MS = 2000 // after a refusal or an error without Retry-After

let token = readToken()
let stream

function readToken() {
  try {
    return sessionStorage.getItem(TOKEN_KEY)
  } catch {
    return null // storage may be forbidden
  }
}

export const hasToken = () => token !== null

/** @param value null forgets the token */
export function setToken(value) {
  token = value
}

function storeToken() {
  try {
    if (token === null) sessionStorage.removeItem(TOKEN_KEY)
    else sessionStorage.setItem(TOKEN_KEY, token)
  } catch {} // storage may be forbidden
}

/** Ends the stream and forgets the token. */
export function forget() {
  stream?.abort()
  setToken(null)
  storeToken()
}

/** Like `fetch`, with the operator's token. @param path below that of the page */
export const fetchWithToken = (path, options = {}) =>
  fetch($('enter').getAttribute('action') + path, {
    ...options,
    cache: 'no-store',
    headers: { ...options.headers, authorization: `Bearer ${token}` }
  })

/** @returns what a refusal of the service says */
export async function messageOf(response) {
  const body = await response.json().catch(() => ({}))
  return body.message ?? `the service answered ${response.status}`
}

/**
 * Runs a command.
 * @returns its answer, also when the command failed
 * @throws Error when the service refused the command
 */
export async function command(name, args = {}) {
  const response = await fetchWithToken(`/commands/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(args)
  })
  const answer = await response.json().catch(() => ({}))
  if (!('result' in answer)) throw new Error(answer.message ?? `the service answered ${response.status}`)
  return answer
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Follows the events of the service until `forget`. EventSource cannot send a token, so the events are parsed here. When a worker
 * drains, its stream ends and the next connection reaches another worker.
 * @param listener `onOpen(mayCommand)`, `onEvent(name, data)`, `onRefused()` and `onLost(why)`, which returns whether to go on
 */
export async function follow(listener) {
  stream?.abort()
  stream = new AbortController()
  const { signal } = stream
  while (!signal.aborted) {
    let pauseMs = RETRY_MS
    try {
      const response = await fetchWithToken('/events', { signal })
      if (response.status === 401) return listener.onRefused()
      if (!response.ok) {
        pauseMs = response.headers.get('retry-after') * 1000 || RETRY_MS
        throw new Error(await messageOf(response))
      }
      pauseMs = RECONNECT_MS
      storeToken()
      listener.onOpen(response.headers.get('x-admin-access') === 'control')
      await readEvents(response.body, listener.onEvent)
      listener.onLost('')
    } catch (error) {
      if (signal.aborted || !listener.onLost(error.message)) return
    }
    await sleep(pauseMs)
  }
}

async function readEvents(body, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const events = (text + value).split('\n\n')
    text = events.pop()
    for (const one of events) {
      const { event, data } = Object.fromEntries(one.split('\n').map((line) => line.split(/: (.*)/s, 2)))
      if (data !== undefined) onEvent(event, JSON.parse(data))
    }
  }
}
