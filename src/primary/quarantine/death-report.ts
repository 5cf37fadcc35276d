import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { readNoFollow } from '../../common/no-follow.ts'
import { EXIT_MARK, inFlightFile } from '../../ipc/quarantine.ts'
import { parseSighting, type Sighting } from '../../ipc/sightings.ts'

/** A worker that serves thousands of requests at once writes this much at most; more is not read. */
const MAX_BYTES = 16 * 2 ** 20

/**
 * Reads which requests a worker that has exited left unanswered, and deletes its file.
 * @param isTraced the worker was told to trace its requests
 * @returns undefined when the worker could not report: it was killed, or aborted, and was not traced
 */
export function takeDeathReport(runDir: string, pid: number, isTraced: boolean): Sighting[] | undefined {
  const path = join(runDir, inFlightFile(pid))
  try {
    const [first, ...others] = readNoFollow(path).subarray(0, MAX_BYTES).toString().split('\n')
    if (first !== EXIT_MARK && !isTraced) return undefined
    return [first, ...others].flatMap((line) => parseLine(line ?? '') ?? [])
  } catch {
    return undefined
  } finally {
    rmSync(path, { force: true })
  }
}

/** Deletes files of workers of an earlier primary. */
export function removeDeathReports(runDir: string): void {
  for (const name of readdirSync(runDir)) {
    if (/^in-flight-\d+\.jsonl$/.test(name)) rmSync(join(runDir, name), { force: true })
  }
}

function parseLine(line: string): Sighting | undefined {
  try {
    return parseSighting(JSON.parse(line))
  } catch {
    return undefined
  }
}
