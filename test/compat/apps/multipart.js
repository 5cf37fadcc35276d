import { createHash } from 'node:crypto'
import multipart from '@fastify/multipart'

const UPLOAD_BYTES = 20 * 1024 * 1024

export default async function (app) {
  await app.register(multipart, { limits: { fileSize: UPLOAD_BYTES } })
  app.post('/upload', { bodyLimit: UPLOAD_BYTES }, async (request) => {
    const data = await request.file()
    const hash = createHash('sha256')
    for await (const chunk of data.file) hash.update(chunk)
    return { field: data.fieldname, filename: data.filename, sha256: hash.digest('hex') }
  })
  app.get('/', async () => ({ open: true }))
}
