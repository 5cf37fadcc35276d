import { readFileSync } from 'node:fs'
import {
  compareProfiles,
  FEW_SAMPLES,
  type FunctionChange,
  notableChanges,
  type ProfileComparison
} from '../../profiling/compare-profiles.ts'
import { type CpuProfile, type ProfiledFunction, readCpuProfile } from '../../profiling/cpu-profile.ts'
import { type FunctionShare, rankFunctions } from '../../profiling/rank-functions.ts'
import { type Column, paint, type Screen, table } from '../output/table.ts'
import { type Analysis, MAX_ROWS, percent } from './analysis.ts'

export const profileTop: Analysis = {
  usage: 'profile top FILE',
  summary: 'lists the functions that use most CPU time in a .cpuprofile file, or in several, with commas between them',
  example: 'muster profile top profile-0-4242-20260131T120000000Z.cpuprofile',
  async run([files = []]) {
    const { functions, busy, all } = rankFunctions(files.map(read))
    return {
      result: { busy, samples: all, functions: functions.map(withoutKey) },
      text: (screen) =>
        `${busy} of ${all} samples are busy.\n${table(functions.slice(0, MAX_ROWS), SHARES, screen)}${more(functions.length)}`
    }
  }
}

export const profileCompare: Analysis = {
  usage: 'profile compare A B',
  summary:
    'lists the functions whose share of CPU time is higher or lower in B than in A; several files have commas between them',
  example: 'muster profile compare before.cpuprofile after.cpuprofile',
  async run([before = [], now = []]) {
    const comparison = compareProfiles(before.map(read), now.map(read))
    const { functions, busyBefore, busy } = comparison
    return {
      result: { busyBefore, busy, functions: functions.map(withoutKey) },
      text: (screen) => comparisonText(comparison, screen)
    }
  }
}

function read(file: string): CpuProfile {
  try {
    return readCpuProfile(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`)
  }
}

const withoutKey = <T extends { of: ProfiledFunction }>({ of: { key: _, ...of }, ...rest }: T) => ({ ...of, ...rest })

const placeOf = ({ file, line, owner }: ProfiledFunction) => (file === '' ? owner : `${file}:${line}`)

const SHARES: Column<FunctionShare>[] = [
  { title: 'self', show: ({ self }) => percent(self), isQuantity: true },
  { title: 'total', show: ({ total }) => percent(total), isQuantity: true },
  { title: 'function', show: ({ of }) => of.name },
  { title: 'at', show: ({ of }) => placeOf(of) }
]

const signed = (share: number) => `${share > 0 ? '+' : ''}${percent(share)}`

const CHANGES: Column<FunctionChange>[] = [
  {
    title: 'change',
    show: ({ change, margin }) => `${signed(change)} ± ${(margin * 100).toFixed(1)}`,
    isQuantity: true,
    colour: ({ isClear, change }) => (isClear ? (change > 0 ? 'red' : 'green') : undefined)
  },
  { title: 'self A', show: ({ selfBefore }) => percent(selfBefore), isQuantity: true },
  { title: 'self B', show: ({ self }) => percent(self), isQuantity: true },
  { title: 'total A', show: ({ totalBefore }) => percent(totalBefore), isQuantity: true },
  { title: 'total B', show: ({ total }) => percent(total), isQuantity: true },
  { title: 'clear', show: ({ isClear }) => (isClear ? 'yes' : 'no') },
  { title: 'function', show: ({ of }) => of.name },
  { title: 'at', show: ({ of }) => placeOf(of) }
]

function comparisonText({ functions, busyBefore, busy }: ProfileComparison, screen: Screen): string {
  const few = Math.min(busyBefore, busy) < FEW_SAMPLES
  const lines = [`Busy samples: ${busyBefore} in A, ${busy} in B.`]
  if (few) lines.push(paint(screen, 'yellow', `That is few: take longer profiles, under load.`))
  const clear = functions.filter(({ isClear }) => isClear)
  if (clear.length === 0) lines.push('No change is clear: chance explains all of them.')
  return `${lines.join('\n')}\n${table(notableChanges(functions, MAX_ROWS), CHANGES, screen)}${more(functions.length)}`
}

const more = (count: number) => (count > MAX_ROWS ? `${count - MAX_ROWS} more functions: --json lists all\n` : '')
