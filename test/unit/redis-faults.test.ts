import assert from 'node:assert/strict'
import { describe as group, test } from 'node:test'
import { describe, isOfServer, isUnsent, refusal } from '../../src/state/redis/redis-errors.ts'

const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' })

group('a reply is about the server or the user, so that others will fail too', () => {
  const ofServer = [
    "READONLY You can't write against a read only replica. script: 0a, on @user_script:9.",
    "ERR Error running script (call to f_0a): @user_script:9: -OOM command not allowed when used memory > 'maxmemory'.",
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    "ERR The user executing the script can't run this command or subcommand script: 0a, on @user_script:1.",
    "ERR ACL failure in script: User muster has no permissions to run the 'set' command script: 0a"
  ]
  for (const message of ofServer) test(message, () => assert.ok(isOfServer(reply(message))))
})

group('or about one command', () => {
  const ofCommand = [
    'WRONGTYPE Operation against a key holding the wrong kind of value',
    "ERR unknown command 'x'",
    'STALE batch',
    'NOSCRIPT No matching script. Please use EVAL.',
    'MOVED 1 127.0.0.1:1'
  ]
  for (const message of ofCommand) test(message, () => assert.ok(!isOfServer(reply(message))))
})

test('what is no reply is about the connection; some of it says nothing of why', () => {
  assert.ok(isOfServer(new Error('Command timed out')))
  assert.ok(!isUnsent(new Error('Command timed out')))
  assert.ok(isUnsent(new Error("Stream isn't writeable and enableOfflineQueue options is false")))
})

test('for the log, what it is and what to set right', () => {
  assert.equal(describe(new Error('Command timed out'), 250), 'no answer within 250 ms')
  assert.equal(describe(reply('LOADING Redis is loading'), 250), 'LOADING Redis is loading')
  assert.match(describe(reply('WRONGPASS invalid'), 250), /REDIS_URL.*WRONGPASS invalid/)
  const expired = Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' })
  assert.match(refusal(expired) ?? '', /REDIS_CA.*certificate has expired/)
  assert.equal(refusal(reply('LOADING Redis is loading')), undefined)
})
