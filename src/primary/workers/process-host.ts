import { writeHangReport } from '../health/hang-report.ts'
import { readProcessStat } from '../health/process-stat.ts'
import { forkWorker } from './fork.ts'

/** What the worker pool needs of the machine that it runs on: it creates processes there and looks at them. */
export interface ProcessHost {
  readonly fork: typeof forkWorker
  readonly readStat: typeof readProcessStat
  readonly reportHang: typeof writeHangReport
}

export const THIS_HOST: ProcessHost = { fork: forkWorker, readStat: readProcessStat, reportHang: writeHangReport }
