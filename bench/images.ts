import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Writes a picture of the documentation. @param name of the file in docs/images/ */
export function writeImage(name: string, svg: string): void {
  const path = fileURLToPath(new URL(`../../docs/images/${name}`, import.meta.url))
  writeFileSync(path, svg)
  console.error(`docs/images/${name}: ${Math.ceil(svg.length / 1024)} KiB`)
}
