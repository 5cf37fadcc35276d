import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { StartupError } from '../../common/errors.ts'

export type Language = 'typescript' | 'javascript'

export interface Project {
  folder: string
  language: Language
  /** In package.json. */
  name: string
  /** Of the package muster-serve that the app depends on. */
  version: string
}

/** Files of both languages are in `shared`. They name `app.js`. */
const TEMPLATES = fileURLToPath(new URL('./templates/', import.meta.url))
const PACKAGE = 'package.json'

/**
 * Writes the files of a new app.
 * @returns their names
 * @throws StartupError that names all files which exist already; then none is written. Or the folder cannot be written
 */
export async function writeProject(project: Project): Promise<string[]> {
  const { folder } = project
  const files = await readTemplates(project)
  const names = [...files.keys()].sort()
  const entries = await readdir(folder).catch((): string[] => [])
  const existing = names.filter((name) => entries.includes(name))
  if (existing.length > 0) {
    throw new StartupError(
      `${folder} has ${existing.join(', ')} already: nothing was written. Name another folder, or move them away`
    )
  }
  const written: string[] = []
  try {
    await mkdir(folder, { recursive: true })
    for (const [name, text] of files) {
      // wx: a file that was created meanwhile is not overwritten either.
      await writeFile(join(folder, name), text, { flag: 'wx' })
      written.push(name)
    }
  } catch (error) {
    await Promise.all(written.map((name) => rm(join(folder, name), { force: true })))
    throw new StartupError(`${folder} cannot be written: ${(error as Error).message}`)
  }
  return names
}

/** @returns the text of each file, by its name */
async function readTemplates({ language, name, version }: Project): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const folder of ['shared', language]) {
    for (const file of await readdir(join(TEMPLATES, folder))) {
      const text = await readFile(join(TEMPLATES, folder, file), 'utf8')
      // npm leaves .gitignore out of packages, so names of templates begin with "_" instead of the dot.
      files.set(file.replace(/^_/, '.'), language === 'typescript' ? text.replaceAll('app.js', 'app.ts') : text)
    }
  }
  files.set(PACKAGE, describePackage(files.get(PACKAGE)!, name, version))
  return files
}

function describePackage(template: string, name: string, version: string): string {
  const description = JSON.parse(template) as { name: string; dependencies: Record<string, string> }
  description.name = name
  description.dependencies['muster-serve'] = `^${version}`
  return `${JSON.stringify(description, undefined, 2)}\n`
}
