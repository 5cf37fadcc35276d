import { HttpError } from '../../common/errors.ts'

/** Longest value that one process may send to all others, in bytes of JSON. */
export const MAX_JSON_BYTES = 64 * 1024

/**
 * @param name of the value; the error message begins with it
 * @throws HttpError 400 NOT_JSON for a value without JSON, 400 TOO_LARGE for more than {@link MAX_JSON_BYTES}
 */
export function toJson(value: unknown, name: string): string {
  const json = stringify(value)
  if (json === undefined) {
    throw new HttpError(
      400,
      'NOT_JSON',
      `${name} cannot be written as JSON: use objects, arrays, text, numbers and null`
    )
  }
  const length = Buffer.byteLength(json)
  if (length > MAX_JSON_BYTES) {
    throw new HttpError(400, 'TOO_LARGE', `${name} has ${length} bytes of JSON: at most ${MAX_JSON_BYTES} are allowed`)
  }
  return json
}

/** @returns undefined where there is no JSON: for undefined, a function, a circular object or a bigint */
function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}
