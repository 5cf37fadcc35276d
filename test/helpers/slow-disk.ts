import { execFileSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileOf } from './programs.ts'
import { temporaryFolder } from './service.ts'

/** Every fdatasync of the process is written to the file SYNC_LOG, if that is set, and takes SYNC_MS longer. */
const LIBRARY = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fdatasync(int fd) {
  int (*original)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  const char *ms = getenv("SYNC_MS"), *log = getenv("SYNC_LOG");
  if (ms) usleep(atoi(ms) * 1000);
  int result = original(fd);
  if (log) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    int out = open(log, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (length > 0 && out >= 0) {
      path[length] = '\\n';
      if (write(out, path, length + 1) < 0) result = -1;
    }
    if (out >= 0) close(out);
  }
  return result;
}`

/** A library for LD_PRELOAD that slows and logs fdatasync. It needs a C compiler, `cc`. */
export function syncLibrary(t: TestContext): string {
  const folder = temporaryFolder(t)
  const [source, library] = [join(folder, 'sync.c'), join(folder, 'sync.so')]
  writeFileSync(source, LIBRARY)
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl'])
  return library
}

/** A folder for PATH whose redis-server has a disk that takes so long for each sync. */
export function slowRedis(t: TestContext, syncMs: number): string {
  const folder = temporaryFolder(t)
  const library = syncLibrary(t)
  const file = join(folder, 'redis-server')
  writeFileSync(file, `#!/bin/sh\nSYNC_MS=${syncMs} LD_PRELOAD=${library} exec ${fileOf('redis-server')} "$@"\n`)
  chmodSync(file, 0o755)
  return folder
}
