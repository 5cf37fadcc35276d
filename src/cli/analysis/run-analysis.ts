import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from '../../config/sources/flags.ts'
import type { Screen } from '../output/table.ts'
import { type Analysis, argumentsOfUsage } from './analysis.ts'

/**
 * Runs an analysis of files.
 * @param words the names of files; several with commas between them are one side
 * @param findRunDir finds the folder in which names without a path are looked up too; undefined: there is none
 * @returns the text to print
 * @throws UsageError for words that do not fit, or for a file that does not exist
 * @throws Error for a file that cannot be used
 */
export async function runAnalysis(
  analysis: Analysis,
  words: readonly string[],
  { json, screen, findRunDir }: { json: boolean; screen: Screen; findRunDir: () => Promise<string | undefined> }
): Promise<string> {
  const expected = argumentsOfUsage(analysis)
  if (words.length !== expected.length) {
    const count = `${expected.length} file${expected.length === 1 ? '' : 's'}`
    throw new UsageError(`name ${count}: ${expected.join(' and ')}\nusage: muster ${analysis.usage}`)
  }
  const sides: string[][] = []
  for (const word of words) sides.push(await Promise.all(word.split(',').map((name) => locate(name, findRunDir))))
  const { result, text } = await analysis.run(sides)
  return json ? `${JSON.stringify({ ok: true, result })}\n` : text(screen)
}

async function locate(name: string, findRunDir: () => Promise<string | undefined>): Promise<string> {
  if (existsSync(name)) return name
  const runDir = await findRunDir()
  if (runDir !== undefined && existsSync(join(runDir, name))) return join(runDir, name)
  const places = runDir === undefined ? 'in this folder' : `in this folder and in ${runDir}`
  throw new UsageError(`there is no file ${JSON.stringify(name)}: looked ${places}`)
}
