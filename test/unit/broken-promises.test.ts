import { describe, test } from 'node:test'
import { damagedCode } from '../helpers/broken-copy.ts'
import { BROKEN } from '../helpers/broken-promises.ts'

describe('test/long/drill can damage the compiled code so that', () => {
  for (const { name, ...damage } of BROKEN) test(name, () => void damagedCode(damage))
})
