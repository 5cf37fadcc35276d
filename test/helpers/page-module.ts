/** Loads a module of the console's page, which has no types. @param path below the folder of the console */
export const consoleModule = (path: string) =>
  import(new URL(`../../src/http/pages/console/${path}`, import.meta.url).href)
