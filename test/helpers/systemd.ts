import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { cleanup } from './cleanup.ts'
import { temporaryFolder } from './service.ts'
import { until } from './until.ts'

/** Node has no datagram Unix sockets. This reader drops the descriptor by which systemd-notify learns that its message was read. */
const RECEIVER = `
  socket(S, AF_UNIX, SOCK_DGRAM, 0) && bind(S, sockaddr_un($ARGV[0])) or die $!;
  $| = 1;
  print "$message\\0" while defined recv(S, $message, 65536, 0)`

/** Stands in for systemd: a real datagram socket, and what `systemd-notify` says there. */
export class NotifySocket {
  /** Each message's assignments, in their order of arrival. */
  readonly messages: Map<string, string>[] = []
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  /** Needs `perl`. */
  static async open(t: TestContext): Promise<NotifySocket> {
    const socket = new NotifySocket(join(temporaryFolder(t), 'notify'))
    const receiver = spawn('perl', ['-MSocket', '-e', RECEIVER, socket.path], { stdio: ['ignore', 'pipe', 'inherit'] })
    cleanup(t, () => receiver.kill())
    let text = ''
    receiver.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const whole = (text + chunk).split('\0')
      text = whole.pop()!
      // The second one of each run of systemd-notify, which only asks whether the first was read.
      for (const message of whole) if (message !== 'BARRIER=1') socket.messages.push(parse(message))
    })
    await until(() => existsSync(socket.path), 'the datagram socket')
    return socket
  }

  /** What was said under this name, in order. */
  said(name: string): string[] {
    return this.messages.flatMap((message) => message.get(name) ?? [])
  }

  /** READY, RELOADING and STOPPING, in order. */
  get states(): string[] {
    const names = ['READY', 'RELOADING', 'STOPPING']
    return this.messages.flatMap((message) => names.filter((name) => message.get(name) === '1'))
  }
}

function parse(message: string): Map<string, string> {
  return new Map(message.split('\n').map((line) => [line.split('=', 1)[0]!, line.slice(line.indexOf('=') + 1)]))
}
