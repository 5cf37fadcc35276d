import { closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs'

/*
 * Files of RUN_DIR are opened without following a symbolic link at the end of their path, so that a link placed there cannot
 * redirect what is written. Files that are created are readable by their owner alone.
 */
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_RDONLY, O_TRUNC, O_WRONLY } = constants
const MODE = 0o600

/** Reads a file. @throws Error with code ELOOP when the file is a symbolic link */
export const readNoFollow = (path: string): Buffer => withFile(path, O_RDONLY, (descriptor) => readFileSync(descriptor))

/** Replaces the content of a file. @throws Error with code ELOOP when the file is a symbolic link */
export const writeNoFollow = (path: string, text: string): void =>
  withFile(path, O_WRONLY | O_CREAT | O_TRUNC, (descriptor) => writeFileSync(descriptor, text))

/** Appends to a file. @throws Error with code ELOOP when the file is a symbolic link */
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
