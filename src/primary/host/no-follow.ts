import { closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs'

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_RDONLY, O_TRUNC, O_WRONLY } = constants
const MODE = 0o600

/** Reads a file. @throws Error, ELOOP where the file is a symbolic link */
export const readNoFollow = (path: string): Buffer => withFile(path, O_RDONLY, (descriptor) => readFileSync(descriptor))

/** Writes a whole file (0600). @throws Error, ELOOP where the file is a symbolic link */
export const writeNoFollow = (path: string, text: string): void =>
  withFile(path, O_WRONLY | O_CREAT | O_TRUNC, (descriptor) => writeFileSync(descriptor, text))

/** Appends to a file (0600). @throws Error, ELOOP where the file is a symbolic link */
export const appendNoFollow = (path: string, text: string): void =>
  withFile(path, O_WRONLY | O_CREAT | O_APPEND, (descriptor) => writeFileSync(descriptor, text))

function withFile<T>(path: string, flags: number, work: (descriptor: number) => T): T {
  const descriptor = openSync(path, flags | O_NOFOLLOW, MODE)
  try {
    return work(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
