import http from 'node:http'
import { nthAddress } from './load.ts'

/** Opens so many connections at once, each from an address of its own, keeps them, and counts those of each worker. */
export async function balance(url: string, connections: number, workers: number): Promise<number[]> {
  const agents = Array.from({ length: connections }, () => new http.Agent({ keepAlive: true }))
  try {
    const slots = await Promise.all(agents.map((agent, nth) => slotOf(url, agent, nthAddress(nth))))
    return Array.from({ length: workers }, (_, slot) => slots.filter((one) => one === slot).length)
  } finally {
    for (const agent of agents) agent.destroy()
  }
}

function slotOf(url: string, agent: http.Agent, localAddress: string): Promise<number> {
  const headers = { accept: 'application/json' }
  return new Promise((resolve, reject) => {
    const request = http.get(`${url}/`, { agent, localAddress, headers, timeout: 5000 }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode !== 200) reject(new Error(`GET ${url}/ answered ${response.statusCode}: ${body}`))
        else resolve((JSON.parse(body) as { worker: { slot: number } }).worker.slot)
      })
    })
    request.on('timeout', () => request.destroy(new Error(`GET ${url}/ did not answer within 5 s.`)))
    request.on('error', reject)
  })
}
