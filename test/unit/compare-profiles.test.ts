import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { callTree } from '../../src/profiling/call-tree.ts'
import { compareProfiles, criticalZ, notableChanges } from '../../src/profiling/compare-profiles.ts'
import { readCpuProfile } from '../../src/profiling/cpu-profile.ts'
import { rankFunctions } from '../../src/profiling/rank-functions.ts'
import { Random } from '../helpers/random.ts'
import { type Call, profileOf } from '../helpers/synthetic-profile.ts'

const APP = 'file:///srv/app/app.js'
const SERVER = ['listen@node:net:1:1', `handler@${APP}:10:2`]
/** A program of 40 functions with different costs. */
const PROGRAM: Call[] = Array.from({ length: 40 }, (_, i) => ({
  stack: [...SERVER, `work${i}@${APP}:${20 + i}:2`],
  weight: 100 / (i + 1)
}))
const total = PROGRAM.reduce((sum, { weight }) => sum + weight, 0)
const PLANTED: Call = { stack: [...SERVER, `planted@${APP}:90:2`], weight: total / 9 }

test('a function that costs 10 % more is first, in each of 50 comparisons', () => {
  for (let seed = 0; seed < 50; seed++) {
    const random = new Random(seed)
    const before = [profileOf(PROGRAM, { samples: 5000, random })]
    const { functions } = compareProfiles(before, [profileOf([...PROGRAM, PLANTED], { samples: 5000, random })])
    const [first] = functions
    assert.equal(first?.of.name, 'planted', `seed ${seed}`)
    assert.equal(first.isClear, true, `seed ${seed}`)
    assert.ok(Math.abs(first.change - 0.1) < 2 * first.margin, `${first.change} ± ${first.margin}`)
  }
})

test('of more functions than rows, the clear changes are listed and the functions that cost most, in their order', () => {
  const random = new Random(3)
  const deep = Array.from({ length: 80 }, (_, i) => `step${i}@${APP}:${100 + i}:2`)
  const rare: Call[] = Array.from({ length: 60 }, (_, i) => ({ stack: [`rare${i}@${APP}:${300 + i}:2`], weight: 0.5 }))
  const program: Call[] = [{ stack: [...deep, `hot@${APP}:200:2`], weight: 60 }, ...rare]
  const planted: Call = { stack: [`planted@${APP}:90:2`], weight: 10 }
  const before = [profileOf(program, { samples: 4000, random })]
  const { functions } = compareProfiles(before, [profileOf([...program, planted], { samples: 4000, random })])
  assert.ok(functions.length > 100, `${functions.length} functions`)
  const shown = notableChanges(functions, 10)
  assert.equal(shown.length, 10)
  assert.deepEqual(
    shown,
    functions.filter((change) => shown.includes(change))
  )
  const clear = functions.filter(({ isClear }) => isClear)
  assert.ok(clear.some(({ of }) => of.name === 'planted'))
  assert.ok(clear.length < 10 && clear.every((change) => shown.includes(change)))
  assert.ok(shown.some(({ of }) => of.name === 'hot'))
})

test('of a profile beside itself, the functions that cost most are listed', () => {
  const profile = profileOf([...PROGRAM, { stack: ['a', 'b', `deep@${APP}:200:2`], weight: 100 }], {
    samples: 5000,
    random: new Random(1)
  })
  const { functions } = compareProfiles([profile], [profile])
  const names = notableChanges(functions, 2).map(({ of }) => of.name)
  assert.deepEqual(names.sort(), ['deep', 'work0'])
})

test('profiles of the same program rarely differ clearly, although samples in a row are alike', () => {
  let alarms = 0
  for (let seed = 0; seed < 200; seed++) {
    const random = new Random(1000 + seed)
    const sample = () => [profileOf(PROGRAM, { samples: 4000, random, run: 8 })]
    const { functions } = compareProfiles(sample(), sample())
    if (functions.some(({ isClear }) => isClear)) alarms++
  }
  assert.ok(alarms <= 30, `${alarms} false alarms in 200 comparisons`)
})

test('a difference of the same size is clear with many samples and not with few', () => {
  const clearWith = (samples: number) => {
    const random = new Random(7)
    const less: Call[] = [...PROGRAM, { ...PLANTED, weight: PLANTED.weight / 3 }]
    const { functions } = compareProfiles(
      [profileOf(PROGRAM, { samples, random })],
      [profileOf(less, { samples, random })]
    )
    return functions.find(({ of }) => of.name === 'planted')?.isClear ?? false
  }
  assert.deepEqual([clearWith(200), clearWith(50_000)], [false, true])
})

describe('functions are recognised', () => {
  const origin = (root: string) => ({ slot: 0, pid: 1, generation: 1, release: '1', root })
  const random = new Random(3)
  const options = { samples: 500, random }
  const namesOf = (functions: readonly { of: { name: string; line: number } }[]) =>
    functions.map(({ of }) => `${of.name}:${of.line}`).sort()

  test('in another folder, by their path below the package', () => {
    const at = (folder: string) =>
      profileOf([{ stack: [`run@file://${folder}/lib/run.js:3:1`], weight: 1 }], { ...options, origin: origin(folder) })
    const { functions } = compareProfiles([at('/srv/1.0.0')], [at('/srv/2.0.0')])
    assert.equal(functions.length, 1)
    assert.equal(functions[0]!.of.file, 'lib/run.js')
  })

  test('on other lines, also without a name', () => {
    const calls = (shift: number): Call[] => [
      { stack: [`@${APP}:${10 + shift}:15`], weight: 3 },
      { stack: [`@${APP}:${20 + shift}:15`], weight: 1 },
      { stack: [`named@${APP}:${30 + shift}:2`], weight: 2 }
    ]
    const { functions } = compareProfiles([profileOf(calls(0), options)], [profileOf(calls(5), options)])
    assert.deepEqual(namesOf(functions), ['(anonymous):16', '(anonymous):26', 'named:36'])
    for (const { selfBefore, self } of functions) assert.ok(Math.abs(self - selfBefore) < 0.2)
  })

  test('as those of the app, of a package, of muster, of Node and of V8', () => {
    const calls: Call[] = [
      'a@file:///srv/app/a.js:1:1',
      'b@file:///srv/app/node_modules/@x/y/b.js:1:1',
      'c@file:///opt/muster/dist/src/http/c.js:1:1',
      'd@node:net:1:1',
      '(garbage collector)'
    ].map((name) => ({ stack: [name], weight: 1 }))
    const profile = profileOf(calls, {
      ...options,
      origin: { ...origin('/srv/app'), service: '/opt/muster/dist/src' }
    })
    const owners = Object.fromEntries(
      rankFunctions([profile]).functions.map(({ of }) => [of.name, `${of.owner} ${of.file}`])
    )
    assert.deepEqual(owners, {
      a: 'app a.js',
      b: '@x/y @x/y/b.js',
      c: 'muster muster/http/c.js',
      d: 'node node:net',
      '(garbage collector)': 'native '
    })
  })
})

test('native code counts for the function that called it, and recursion counts once', () => {
  const calls: Call[] = [
    { stack: [`loop@${APP}:1:1`, `loop@${APP}:1:1`, 'stringify'], weight: 1 },
    { stack: [`other@${APP}:9:1`], weight: 1 }
  ]
  const { functions, busy } = rankFunctions([profileOf(calls, { samples: 1000, random: new Random(1), idle: 0 })])
  assert.equal(busy, 1000)
  const loop = functions.find(({ of }) => of.name === 'loop')!
  assert.equal(loop.self, loop.total)
  assert.ok(loop.self > 0.3 && loop.self < 0.7, String(loop.self))
  assert.equal(functions.find(({ of }) => of.name === 'stringify')!.self, 0)
})

test('a tree has the samples of both sides, and its parts add up', () => {
  const random = new Random(5)
  const [before, now] = [PROGRAM, [...PROGRAM, PLANTED]].map((calls) => profileOf(calls, { samples: 2000, random }))
  const { tree, busy, busyBefore } = compareProfiles([before!], [now!])
  assert.deepEqual([tree.total, tree.totalBefore], [busy, busyBefore])
  const check = (frame: ReturnType<typeof callTree>) => {
    const children = [...frame.children.values()]
    assert.equal(
      frame.total,
      children.reduce((sum, child) => sum + child.total, frame.self)
    )
    assert.equal(
      frame.totalBefore,
      children.reduce((sum, child) => sum + child.totalBefore, frame.selfBefore)
    )
    children.forEach(check)
  }
  check(tree)
  const merged = callTree([before!, now!])
  assert.equal(merged.total, busy + busyBefore)
})

test('a profile without busy samples is compared with nothing, and without NaN', () => {
  const idle = profileOf(PROGRAM, { samples: 100, random: new Random(1), idle: 1 })
  assert.deepEqual(compareProfiles([idle], [idle]).functions, [])
  assert.deepEqual(rankFunctions([idle]), { functions: [], busy: 0, all: 100 })
})

test('what is no profile is refused', () => {
  for (const text of [
    '',
    '[]',
    'null',
    '{"nodes":1}',
    '{"nodes":[{}],"samples":[]}',
    '{"nodes":[null],"samples":[]}'
  ]) {
    assert.throws(() => readCpuProfile(text), /^Error: not a CPU profile/)
  }
})

test('the limit for clear changes is that of the normal distribution', () => {
  for (const [probability, z] of [
    [0.05, 1.96],
    [0.01, 2.5758],
    [1e-4, 3.8906],
    [1e-6, 4.8916]
  ] as const) {
    assert.ok(Math.abs(criticalZ(probability) - z) < 0.001, String(criticalZ(probability)))
  }
})
