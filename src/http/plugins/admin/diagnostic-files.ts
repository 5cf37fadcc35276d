import { createReadStream } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { RouteHandlerMethod, RouteOptions } from 'fastify'
import { notFound } from '../../../common/errors.ts'
import { array, object } from '../../../common/json-schema.ts'
import type { ProfileOrigin } from '../../../ipc/profile-origin.ts'

/** The names of files that commands write: kind, slot, pid and time. */
const FILE_NAME = /^(profile|heap|report)-[\w-]+\.(cpuprofile|heapsnapshot|json)$/
const PARTS = /^(\w+)-(\d+)-(\d+)-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z\./
/** Where a profile was taken is at its end. */
const END_BYTES = 4096

/** A file that a command has written. */
export interface FileView extends Partial<Pick<ProfileOrigin, 'generation' | 'release' | 'role'>> {
  name: string
  kind: string
  slot: number
  pid: number
  /** ISO 8601, UTC. */
  at: string
  bytes: number
}

const [TEXT, INTEGER] = [{ type: 'string' }, { type: 'integer' }] as const
const VIEW = object(
  { name: TEXT, kind: TEXT, slot: INTEGER, pid: INTEGER, at: TEXT, bytes: INTEGER },
  { generation: INTEGER, release: TEXT, role: TEXT }
)

/** `GET files` and `GET files/NAME`: what `profile`, `heap` and `report` have written on this host. */
export function addFileRoutes(addRoute: (route: RouteOptions) => void, folder: string): void {
  const config = { level: 'control', bypassLimits: true } as const
  const listed = { summary: 'The files that profile, heap and report have written, the newest first', tags: ['admin'] }
  addRoute({
    method: 'GET',
    url: 'files',
    config,
    schema: { ...listed, response: { 200: array(VIEW) } },
    handler: () => listFiles(folder)
  })
  const schema = { summary: 'A file that profile, heap or report has written', tags: ['admin'] }
  const handler: RouteHandlerMethod = async (request, reply) => {
    const { file } = request.params as { file: string }
    const path = join(folder, file)
    const found = FILE_NAME.test(file) && (await stat(path).catch(() => undefined))
    if (!found) throw notFound(request.method, request.url)
    void reply.header('content-length', found.size).header('content-disposition', `attachment; filename="${file}"`)
    return reply.type('application/json').send(createReadStream(path))
  }
  addRoute({ method: 'GET', url: 'files/:file', config, schema, handler })
}

async function listFiles(folder: string): Promise<FileView[]> {
  const names = (await readdir(folder)).filter((name) => FILE_NAME.test(name))
  const views = await Promise.all(names.map((name) => viewOf(folder, name)))
  return views.filter((view) => view !== undefined).sort((a, b) => b.at.localeCompare(a.at))
}

/** @returns undefined when the file is gone meanwhile */
async function viewOf(folder: string, name: string): Promise<FileView | undefined> {
  const [, kind, slot, pid, year, month, day, hour, minute, second, ms] = PARTS.exec(name) ?? []
  if (kind === undefined) return undefined
  try {
    const file = await open(join(folder, name))
    try {
      const { size: bytes } = await file.stat()
      const at = `${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`
      const origin = kind === 'profile' ? await readOrigin(file, bytes) : {}
      return { name, kind, slot: Number(slot), pid: Number(pid), at, bytes, ...origin }
    } finally {
      await file.close()
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Reads where a profile was taken, without reading the profile. @returns nothing for a profile that does not say so */
async function readOrigin(
  file: Awaited<ReturnType<typeof open>>,
  bytes: number
): Promise<Pick<FileView, 'generation' | 'release' | 'role'>> {
  const length = Math.min(END_BYTES, bytes)
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, bytes - length)
  const text = buffer.toString('utf8')
  const start = text.lastIndexOf('"muster":')
  try {
    const { muster } = JSON.parse(`{${text.slice(start)}`) as { muster: ProfileOrigin }
    const { generation, release, role } = muster
    return { generation, release, ...(role && { role }) }
  } catch {
    return {}
  }
}
