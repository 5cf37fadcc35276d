import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fingerprint, Tokens } from '../../src/http/plugins/security/tokens.ts'

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')

describe('tokens', () => {
  const tokens = new Tokens({ control: ['a'.repeat(32), 'b'.repeat(40)], read: ['c'.repeat(32)] })
  test('any of several is valid, each for its level', () => {
    assert.equal(tokens.levelOf('a'.repeat(32)), 'control')
    assert.equal(tokens.levelOf('b'.repeat(40)), 'control')
    assert.equal(tokens.levelOf('c'.repeat(32)), 'read')
  })
  for (const wrong of ['', 'a', 'a'.repeat(31), `${'a'.repeat(31)}b`, 'a'.repeat(33), 'A'.repeat(32)]) {
    test(`"${wrong}" is none`, () => assert.equal(tokens.levelOf(wrong), undefined))
  }
  test('digests of one length are compared, in constant time, and all of them', () => {
    const source = read('src/http/plugins/security/tokens.ts')
    assert.match(source, /for \(const known of this\.#known\) if \(timingSafeEqual\(known\.digest, digest\)\)/)
    assert.equal(source.includes('break') || source.includes('.find('), false, 'a match is no reason to stop')
  })
  test('a fingerprint tells nothing of the token', () => {
    assert.match(fingerprint('a'.repeat(32)), /^[0-9a-f]{8}$/)
    assert.notEqual(fingerprint('a'.repeat(32)), fingerprint(`${'a'.repeat(31)}b`))
  })
})
