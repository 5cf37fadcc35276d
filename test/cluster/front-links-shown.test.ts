import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CodeLink, changedCopy } from '../helpers/code-copies.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

const NAME = '"name": "muster-serve",'
const ADDRESSES = '"homepage": "https://docs.example/", "repository": "https://git.example/a/b",'

test('the front page links to documentation and repository when package.json names them', async (t) => {
  const code = new CodeLink(t, changedCopy(t, '../package.json', NAME, `${NAME} ${ADDRESSES}`))
  const env = { APP: `${code.path}/dist/src/routes/index.js` }
  const service = await startService(t, { workers: 1, command: code.start, env })
  const page = await (await fetch(service.url, { headers: { accept: 'text/html' } })).text()
  assert.match(page, /data-docs="yes" data-repository="yes"/)
  assert.match(page, /href="https:\/\/docs\.example\/"/)
  assert.match(page, /href="https:\/\/git\.example\/a\/b"/)
})
