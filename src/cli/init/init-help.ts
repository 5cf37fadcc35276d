/** The text of `muster init --help`. */
export const initHelp = (): string => `Usage: muster init [FOLDER] [FLAGS]

Writes a new app into FOLDER, by default the working directory: an app with a
test, package.json, Dockerfile, docker-compose.yml and .env.example. It never
overwrites a file.

  --typescript  an app in TypeScript; the default
  --javascript  an app in JavaScript
  --name NAME   name in package.json; default: made of the name of FOLDER

Example:   muster init shop
`
