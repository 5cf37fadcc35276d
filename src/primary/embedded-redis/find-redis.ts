import { execFile } from 'node:child_process'
import { access, constants, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Logger } from 'pino'
import { StartupError } from '../../common/errors.ts'
import { makeFolder } from '../host/run-directory.ts'

const run = promisify(execFile)
const FAMILIES = ['redis', 'valkey']
const DPKG_STATUS = '/var/lib/dpkg/status'

/** A server that was found to run, and the complete environment that it needs. */
export interface RedisBinary {
  file: string
  env: Record<string, string>
  /** Its family, with the major and the minor version: `Redis 7.0`. */
  product: string
}

export interface FindRedisOptions {
  /** Absolute path. Created with mode 0700 when a package has to be unpacked. */
  cacheDir: string
  /** Folders to search, in the form of the PATH variable. */
  path: string
  log: Logger
}

/**
 * Finds a Redis or Valkey server of version 6.2 or newer: on `path`, or unpacked into `cacheDir` by an earlier start. On Debian
 * and its relatives the distribution's package is otherwise unpacked there now, without root and without installing anything,
 * which takes some seconds.
 * @throws StartupError when there is none; it names the remedies
 */
export async function findRedis({ cacheDir, path, log }: FindRedisOptions): Promise<RedisBinary> {
  const folder = join(cacheDir, 'redis')
  const found = (await usable(path, { PATH: path }, log)) ?? (await unpacked(folder, log))
  if (found) return found
  const [aptGet] = await executables('apt-get', path)
  const [dpkgDeb] = await executables('dpkg-deb', path)
  if (!aptGet || !dpkgDeb || !(await isAllowed(DPKG_STATUS, constants.R_OK))) {
    throw noRedis('and only on Debian, Ubuntu and their relatives can one be unpacked')
  }
  try {
    makeFolder(cacheDir)
    return await unpack(aptGet, dpkgDeb, cacheDir, folder, log)
  } catch (error) {
    throw noRedis(`and unpacking the distribution's package failed (${reason(error)})`)
  }
}

function noRedis(why: string): StartupError {
  return new StartupError(
    `No redis-server or valkey-server, version 6.2 or newer, is on the PATH, ${why}. ` +
      'Install redis-server (6.2 or newer) or valkey-server, or set REDIS_URL to a Redis that runs elsewhere.'
  )
}

async function usable(path: string, env: Record<string, string>, log: Logger): Promise<RedisBinary | undefined> {
  for (const family of FAMILIES) {
    for (const file of await executables(`${family}-server`, path)) {
      const version = await usableVersion(file, env, log)
      if (version) return { file, env, product: `${family === 'redis' ? 'Redis' : 'Valkey'} ${version}` }
    }
  }
  return undefined
}

/** Sessions need GETEX, which came with Redis 6.2; every Valkey has it. @returns undefined when it is too old or does not run */
async function usableVersion(file: string, env: Record<string, string>, log: Logger): Promise<string | undefined> {
  try {
    const { stdout } = await run(file, ['--version'], { env, timeout: 10_000 })
    const [version, major, minor] = /\bv=(\d+)\.(\d+)\S*/.exec(stdout) ?? []
    if (version && Number(major) * 100 + Number(minor) >= 602) return `${major}.${minor}`
    log.warn({ file, version: version ?? stdout.trim() }, 'Redis too old')
  } catch (error) {
    log.warn({ file, why: reason(error) }, 'Redis does not run')
  }
  return undefined
}

async function unpacked(folder: string, log: Logger): Promise<RedisBinary | undefined> {
  const bin = join(folder, 'usr/bin')
  const files = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const libraries = new Set(files.filter(({ name }) => name.includes('.so')).map(({ parentPath }) => parentPath))
  return await usable(bin, { LD_LIBRARY_PATH: [...libraries].join(delimiter) }, log)
}

/** Unpacks into a temporary folder and renames it at the end, so that the cache is complete or absent if a start is killed or runs in parallel. */
async function unpack(aptGet: string, dpkgDeb: string, cacheDir: string, folder: string, log: Logger) {
  log.info({ into: folder }, 'unpacking Redis')
  const startedAt = performance.now()
  const work = await mkdtemp(join(cacheDir, 'unpacking-'))
  try {
    const apt = await privateApt(aptGet, work)
    // An index that cannot be refreshed may not be needed. The download decides.
    await apt('update').catch((error) => log.warn({ why: reason(error) }, 'apt-get update failed'))
    await unpackFirstUsable(apt, dpkgDeb, work, folder, log)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  const redis = await unpacked(folder, log)
  if (!redis) throw new Error(`${folder} is not usable`)
  log.info({ file: redis.file, ms: Math.round(performance.now() - startedAt) }, 'Redis unpacked')
  return redis
}

type Apt = (...args: string[]) => Promise<unknown>

/**
 * Creates a function that runs apt-get with the system's sources, keys and list of installed packages, but with package lists and
 * downloads in `work`. Signatures are checked as usual. The system's update hooks are disabled, because they change the system.
 */
async function privateApt(aptGet: string, work: string): Promise<Apt> {
  const config = join(work, 'apt.conf')
  await mkdir(join(work, 'state/lists/partial'), { recursive: true })
  await mkdir(join(work, 'cache/archives/partial'), { recursive: true })
  await writeFile(
    config,
    `Dir::State "${work}/state";
Dir::State::status "${DPKG_STATUS}";
Dir::Cache "${work}/cache";
Dir::Log "${work}";
Debug::NoLocking "true";
APT::Sandbox::User "";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
`
  )
  return (...args) => run(aptGet, ['-c', config, ...args], { timeout: 300_000, maxBuffer: 2 ** 24 })
}

async function unpackFirstUsable(apt: Apt, dpkgDeb: string, work: string, folder: string, log: Logger): Promise<void> {
  const archives = join(work, 'cache/archives')
  const failures: string[] = []
  for (const family of FAMILIES) {
    const root = join(work, family)
    try {
      // apt finds the libraries that this system lacks. The binary is in the -tools package, which may be installed without
      // the -server package: hence --reinstall.
      const wanted = [`${family}-server`, `${family}-tools`]
      await apt('install', '--download-only', '--reinstall', '--no-install-recommends', '--yes', ...wanted)
      const packages = (await readdir(archives)).filter((name) => name.endsWith('.deb'))
      for (const name of packages) await run(dpkgDeb, ['--extract', join(archives, name), root])
      log.info({ packages, from: 'the sources of /etc/apt' }, 'Redis packages downloaded')
      if (await unpacked(root, log)) return await publish(root, folder, log)
      failures.push(`${family}-server is too old or does not run`)
    } catch (error) {
      failures.push(reason(error))
    }
  }
  throw new Error(failures.join('; '))
}

async function publish(root: string, folder: string, log: Logger): Promise<void> {
  try {
    await rename(root, folder)
  } catch {
    if (await unpacked(folder, log)) return // a parallel start was faster
    await rm(folder, { recursive: true, force: true })
    await rename(root, folder)
  }
}

async function executables(name: string, path: string): Promise<string[]> {
  const files = path.split(delimiter).flatMap((folder) => (folder ? [join(folder, name)] : []))
  const allowed = await Promise.all(files.map((file) => isAllowed(file, constants.X_OK)))
  return files.filter((_, index) => allowed[index])
}

function isAllowed(file: string, mode: number): Promise<boolean> {
  return access(file, mode).then(
    () => true,
    () => false
  )
}

/** Returns the last output of a failed program, on one line. */
function reason(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string }
  return (stderr?.trim() || message).split('\n').slice(-3).join(' ')
}
