import { HttpError } from '../../common/errors.ts'

/** Longest value that one process may give to all others, in bytes of JSON. */
export const JSON_LIMIT = 64 * 1024

/**
 * @param what begins the message of the error
 * @throws HttpError 400 when the value has no JSON, or too long a one
 */
export function toJson(value: unknown, what: string): string {
  let json: string | undefined
  try {
    json = JSON.stringify(value)
  } catch {} // a circle, a bigint
  if (json === undefined) throw new HttpError(400, 'NOT_JSON', `${what} cannot be written as JSON`)
  const length = Buffer.byteLength(json)
  if (length > JSON_LIMIT) {
    throw new HttpError(400, 'TOO_LARGE', `${what} has ${length} bytes of JSON, ${JSON_LIMIT} at most may be`)
  }
  return json
}
