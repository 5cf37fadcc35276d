// Sends the half of a request, tells the container of `app` to stop, and sends the rest when requests are refused. Prints the answer.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const { hostname, port } = new URL(process.env.URL)
const body = JSON.stringify({ name: 'ada' })
const socket = connect(Number(port), hostname)
let answer = ''
socket.setEncoding('utf8')
socket.on('data', (text) => {
  answer += text
})
socket.on('error', (error) => {
  answer += error.code
})
const closed = once(socket, 'close')
const head = `Host: app\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
socket.write(`POST /session HTTP/1.1\r\n${head}${body.slice(0, 5)}`)
// A proxy passes it on within this time.
await sleep(500)
const from = Date.now()
const exit = once(spawn('docker', ['compose', 'stop', 'app'], { stdio: 'ignore' }), 'exit')
const isTaken = () =>
  fetch(`${process.env.URL}/livez`).then(
    ({ status }) => status !== 503,
    () => false
  )
while (await isTaken()) await sleep(100)
socket.write(body.slice(5))
await Promise.all([closed, exit])
console.log(`${answer.split('\r\n')[0]}, ${(Date.now() - from) / 1000} s`)
process.exitCode = answer.startsWith('HTTP/1.1 200') && answer.includes('"name":"ada"') ? 0 : 1
