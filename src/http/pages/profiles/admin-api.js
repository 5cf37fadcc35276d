// The admin plane, with the operator's token. The console stores the token in this tab; here it can be entered too.

const TOKEN_KEY = 'muster.token'
const REVOKE_MS = 60_000 // by then the browser has saved the file

let token = readToken()

function readToken() {
  try {
    return sessionStorage.getItem(TOKEN_KEY)
  } catch {
    return null // storage may be forbidden
  }
}

export const hasToken = () => token !== null

export function storeToken(value) {
  token = value
  try {
    sessionStorage.setItem(TOKEN_KEY, value)
  } catch {} // storage may be forbidden
}

/**
 * @param path below that of the admin plane
 * @throws Error with the message of the service; its `status` is that of the response
 */
export async function ask(path, options = {}) {
  const response = await fetch(document.body.dataset.url + path, {
    ...options,
    cache: 'no-store',
    headers: { ...options.headers, authorization: `Bearer ${token}` }
  })
  if (response.ok) return response
  const { message = `the service answered ${response.status}` } = await response.json().catch(() => ({}))
  throw Object.assign(new Error(message), { status: response.status })
}

/** Runs a command. @returns its result @throws Error when it was not done by all workers */
export async function command(name, args) {
  const headers = { 'content-type': 'application/json' }
  const response = await ask(`/commands/${name}`, { method: 'POST', headers, body: JSON.stringify(args) })
  return (await response.json()).result
}

/** @returns the response with a file @throws Error also when the file is gone */
export async function askFile(name) {
  try {
    return await ask(`/files/${name}`)
  } catch (error) {
    if (error.status === 404) error.message = `${name} is gone: only the newest files are kept`
    throw error
  }
}

export async function saveFile(name) {
  const response = await askFile(name)
  const link = Object.assign(document.createElement('a'), {
    href: URL.createObjectURL(await response.blob()),
    download: name
  })
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), REVOKE_MS)
}
