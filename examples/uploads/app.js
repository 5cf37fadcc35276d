// Uploads: files are streamed to disk and back, and are never in memory as a whole.
import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import multipart from '@fastify/multipart'
import { HttpError } from 'muster-serve'

const FOLDER = resolve(process.env.UPLOADS ?? 'uploads')
const MAX_BYTES = 1024 ** 3
/** How long an upload may take, in ms. */
const MAX_TIME = 10 * 60_000

export const muster = { sessions: false }

export default async function (app) {
  await mkdir(FOLDER, { recursive: true })
  await app.register(multipart, { limits: { fileSize: MAX_BYTES, files: 1 } })

  app.post('/files', { bodyLimit: MAX_BYTES, config: { requestTimeout: MAX_TIME } }, async (request, reply) => {
    const part = await request.file()
    if (!part) throw new HttpError(400, 'NO_FILE', 'The form has no file')
    const id = randomUUID()
    const bytes = await save(part.file, join(FOLDER, id))
    const file = { name: part.filename, type: part.mimetype, bytes }
    await app.redis.hset('files', id, JSON.stringify(file))
    return reply.code(201).send({ id, ...file })
  })

  app.get('/files/:id', async (request, reply) => {
    const { id } = request.params
    // Redis knows the ids of all files, so a path cannot leave the folder.
    const stored = await app.redis.hget('files', id)
    if (!stored) throw new HttpError(404, 'NO_FILE', `There is no file ${id}`)
    const { name, bytes } = JSON.parse(stored)
    // An attachment: a page that was uploaded never runs in the name of this site.
    return reply
      .type('application/octet-stream')
      .header('content-length', bytes)
      .header('content-disposition', `attachment; filename*=UTF-8''${encodeURIComponent(name)}`)
      .send(createReadStream(join(FOLDER, id)))
  })
}

/**
 * Writes a stream to a file, which exists under its name only when it is complete.
 * @returns its size in bytes
 */
async function save(source, path) {
  const unfinished = createWriteStream(`${path}.part`)
  try {
    await pipeline(source, unfinished)
    if (source.truncated) throw new HttpError(413, 'TOO_LARGE', `A file may have ${MAX_BYTES} bytes`)
    await rename(unfinished.path, path)
    return unfinished.bytesWritten
  } catch (error) {
    await rm(unfinished.path, { force: true })
    throw error
  }
}
