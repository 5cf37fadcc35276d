import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { environmentSchema, SECRETS } from '../../src/config/environment-schema.ts'
import { loadConfig } from '../../src/config/load.ts'
import { findConfigFile, readConfigFile, toVariables } from '../../src/config/sources/config-file.ts'
import { flagOf, parseStartFlags } from '../../src/config/sources/flags.ts'
import { gatherEnvironment } from '../../src/config/sources/gather-environment.ts'

const folder = mkdtempSync(join(tmpdir(), 'muster-sources-'))
after(() => rmSync(folder, { recursive: true }))
const file = (name: string, content: string) => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

describe('the flags of muster start', () => {
  test('every variable is a flag, except secrets, which name the variable and the flag of a file', () => {
    for (const name of Object.keys(environmentSchema.properties)) {
      const parse = () => parseStartFlags([flagOf(name), 'x'])
      if ((SECRETS as readonly string[]).includes(name)) {
        assert.throws(parse, { name: 'UsageError', message: new RegExp(`set ${name}, or ${flagOf(name)}-file`) })
      } else assert.deepEqual(parse().variables, { [name]: 'x' })
    }
  })

  test('a REDIS_URL with a password is refused as a flag, one without is taken', () => {
    for (const url of ['redis://:secret@host:6379', 'rediss://user:se/cret@host', 'redis+sentinel://u:p@a,b/main']) {
      assert.throws(() => parseStartFlags(['--redis-url', url]), { message: /set REDIS_URL, or --redis-url-file/ })
    }
    for (const url of ['redis://host:6379/2', 'redis://user@host', 'unix:///run/redis.sock']) {
      assert.deepEqual(parseStartFlags(['--redis-url', url]).variables, { REDIS_URL: url })
    }
  })

  test('the app is the word without a flag, and values may be behind an equals sign', () => {
    assert.deepEqual(parseStartFlags(['--workers=4', 'app.js', '--port', '3000', '--config', 'c.json']), {
      app: 'app.js',
      variables: { WORKERS: '4', PORT: '3000' },
      configFile: 'c.json',
      envFiles: undefined,
      further: {}
    })
    assert.deepEqual(parseStartFlags(['--env-file', 'a', '--env-file=b']).envFiles, ['a', 'b'])
  })

  test('all mistakes are named at once, each with the nearest flag', () => {
    const message = [
      'unknown flag --prot, did you mean --port?',
      'unknown flag --worker, did you mean --workers?',
      'unknown flag --xyzzy-plugh: `muster start --help` lists all flags',
      '--host needs a value'
    ].join('\n')
    const words = ['a.js', '--prot', '1', '--worker=2', '--xyzzy-plugh', '--host']
    assert.throws(() => parseStartFlags(words), { name: 'UsageError', message })
    assert.throws(() => parseStartFlags(['a.js', 'b.js']), { message: 'one app is served, not 2: a.js, b.js' })
  })
})

describe('the config file', () => {
  test('has every variable in camel case, numbers, lists, and the options of the service', () => {
    const settings = {
      app: 'app.js',
      port: 3000,
      redisUrl: 'redis://a',
      trustProxy: ['10.0.0.1', '10.0.0.2'],
      runDir: ''
    }
    assert.deepEqual(toVariables({ ...settings, service: { sessions: false } }, 'file'), {
      variables: { APP: 'app.js', PORT: '3000', REDIS_URL: 'redis://a', TRUST_PROXY: '10.0.0.1,10.0.0.2' },
      service: { sessions: false }
    })
  })

  test('unknown keys and wrong values are named all at once', () => {
    assert.throws(() => toVariables({ prot: 1, PORT: 2, workers: true, host: {} }, 'muster.config.js'), {
      name: 'StartupError',
      message: [
        'muster.config.js:',
        '  - prot: unknown setting, did you mean port?',
        '  - PORT: unknown setting, did you mean port?',
        '  - workers: must be a text, a number or a list of texts, not true',
        '  - host: must be a text, a number or a list of texts, not {}'
      ].join('\n')
    })
  })

  for (const [name, content] of Object.entries({
    'a.mjs': 'export default { port: 1 }',
    'a.cjs': 'module.exports = { port: 1 }',
    'a.json': '{ "port": 1 }',
    'a.mts': 'const port: number = 1; export default { port }'
  })) {
    test(`is read from ${name.slice(2)}`, async () => {
      // The tests run through tsx or on a Node that runs TypeScript: else the working directory has tsx.
      assert.deepEqual((await readConfigFile(file(name, content))).variables, { PORT: '1' })
    })
  }

  test('that is missing, broken or there twice stops the start', async () => {
    await assert.rejects(readConfigFile(join(folder, 'none.js')), {
      message: /^the config file .*none\.js does not exist$/
    })
    await assert.rejects(readConfigFile(file('broken.json', '{')), { message: /broken\.json cannot be loaded: .*JSON/ })
    await assert.rejects(readConfigFile(file('list.json', '[]')), {
      message: /must export an object of settings, not \[\]/
    })
    assert.equal(findConfigFile(folder), undefined)
    file('muster.config.js', '')
    assert.equal(findConfigFile(folder), join(folder, 'muster.config.js'))
    file('muster.config.json', '{}')
    assert.throws(() => findConfigFile(folder), { message: /^there are two config files/ })
  })
})

test('flags are stronger than the environment, then env files, then the config file, and errors name the source', async () => {
  const configFile = file(
    'all.json',
    '{ "port": "p4", "host": "h4", "workers": "w4", "logLevel": "l4", "app": "app4.js" }'
  )
  const envFiles = [file('a.env', 'PORT=p3\nHOST=h3\nWORKERS=w3\nOTHER=from-file\nTAKEN=x'), file('b.env', 'HOST=h3b')]
  const environment: NodeJS.ProcessEnv = { PORT: 'p2', WORKERS: '', TAKEN: '', HOST: '' }
  const origins = await gatherEnvironment(
    { app: 'app1.js', variables: { PORT: 'p1' }, envFiles, configFile },
    environment
  )
  assert.deepEqual(environment, {
    APP: 'app1.js',
    PORT: 'p1',
    HOST: 'h3b',
    WORKERS: 'w3',
    LOG_LEVEL: 'l4',
    OTHER: 'from-file',
    TAKEN: ''
  })
  assert.throws(
    () => loadConfig(environment, { origins }),
    ({ message }: Error) => {
      assert.match(message, /^ {2}- PORT: must be integer, not "p1" \(from --port\)$/m)
      assert.ok(message.includes(`(from ${envFiles[0]})`) && message.includes(`(from ${configFile})`), message)
      assert.match(message, /APP: module ".*app1\.js" not found: .* \(from the argument of muster start\)$/m)
      return true
    }
  )
})

test('two apps are refused, and an env file that does not exist', async () => {
  const twice = { app: 'a.js', variables: { APP: 'b.js' } }
  await assert.rejects(gatherEnvironment(twice, {}), { name: 'UsageError', message: /^one app is served, not two/ })
  await assert.rejects(gatherEnvironment({ envFiles: [join(folder, 'no.env')] }, {}), {
    message: /^the env file .*no\.env cannot be read/
  })
})

test('a start without an app says how to name one', () => {
  assert.throws(() => loadConfig({}, { needsApp: true }), { message: /APP: names no app: run `muster start app\.js`/ })
})
