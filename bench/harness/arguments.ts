export interface Arguments {
  readonly isJson: boolean
  /** The suites that were named, or all. */
  readonly names: readonly string[]
}

/** Parses the command line. Exits if it names an unknown suite. */
export function parseArguments(suites: Readonly<Record<string, unknown>>): Arguments {
  const names = process.argv.slice(2).filter(name => name !== '--json')
  const unknown = names.filter(name => !Object.hasOwn(suites, name))
  if (unknown.length > 0) {
    console.error(`Expected some of ${Object.keys(suites).join(', ')}; got ${unknown.join(', ')}`)
    process.exit(1)
  }
  return {
    isJson: process.argv.includes('--json'),
    names: names.length > 0 ? names : Object.keys(suites),
  }
}
