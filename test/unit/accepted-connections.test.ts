import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { createLog } from '../../src/common/log.ts'
import { takePort } from '../../src/primary/listener/port.ts'

const CONNECTIONS = 50

for (const scheduling of ['rr', 'sticky'] as const)
  test(`a port that closes accepts every connection that waits in the kernel (${scheduling})`, async (t) => {
    const log = await createLog({ logLevel: 'silent' }, { role: 'primary' })
    const accepted: { close(): void }[] = []
    const config = { scheduling, host: '127.0.0.1', port: 0, listenFd: undefined, reusePortLoss: 'refuse' as const }
    const port = await takePort(config, (handle) => accepted.push(handle), log)
    // The kernel establishes each within the call, while this process cannot accept.
    const clients = Array.from({ length: CONNECTIONS }, () => connect(port.number!, '127.0.0.1'))
    t.after(() => {
      for (const client of clients) client.destroy()
    })
    const connected = Promise.all(clients.map((client) => once(client, 'connect')))
    await port.close()
    await connected
    assert.equal(accepted.length, CONNECTIONS)
    for (const handle of accepted) handle.close()
    await Promise.all(clients.map((client) => once(client.resume(), 'end')))
    const late = connect(port.number!, '127.0.0.1')
    const [{ code }] = await once(late, 'error')
    assert.equal(code, 'ECONNREFUSED')
  })
