import assert from 'node:assert/strict'
import { read } from '../package/files.ts'

/** A page of docs/recipes: the files and the commands that a reader pastes into an empty directory. */
export interface Recipe {
  readonly name: string
  readonly text: string
  /** The content of each file, by its name: a block of code whose fence has a name after the language. */
  readonly files: ReadonlyMap<string, string>
  /** The first block of commands. */
  readonly setUp: string
  /** The lines of the other blocks of commands, without comments. */
  readonly commands: readonly string[]
}

export function readRecipe(name: string): Recipe {
  const text = read(`docs/recipes/${name}.md`)
  const files = new Map<string, string>()
  const scripts: string[] = []
  for (const [, language, file, content = ''] of text.matchAll(/^```(\w*)(?: (\S+))?\n(.*?)^```$/gms)) {
    if (file !== undefined) files.set(file, content)
    else if (language === 'sh') scripts.push(content)
  }
  const [setUp, ...others] = scripts
  assert.ok(setUp !== undefined, `${name}.md has commands`)
  const commands = others.flatMap(script => script.split('\n')).map(line => line.replace(/\s+#.*/, ''))
  return { name, text, files, setUp, commands: commands.filter(command => command !== '') }
}
