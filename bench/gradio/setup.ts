import { execFile } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** The release of Gradio that is measured. */
export const GRADIO = '6.31.0'

/** Something is missing on this machine. The message is one sentence. */
export class Missing extends Error {}

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/gradio-state-bench', import.meta.url))
/** In milliseconds. */
const INSTALL_LIMIT = 15 * 60_000

/** Creates a virtual environment with Gradio, unless it exists. Resolves with its directory. */
export async function setUp(): Promise<string> {
  const directory = join(CACHE, `gradio-${GRADIO}`)
  // Written last, so that an interrupted installation is started again.
  const mark = join(directory, 'complete')
  const isWhole = await readFile(mark).then(
    () => works(directory),
    () => false,
  )
  if (isWhole) return directory
  await expectPython()
  console.error(`Installing Gradio ${GRADIO} into ${directory} …`)
  await rm(directory, { recursive: true, force: true })
  await mkdir(dirname(directory), { recursive: true })
  await make(directory)
  await install(directory)
  await writeFile(mark, '')
  return directory
}

async function works(directory: string): Promise<boolean> {
  const script = "from importlib.metadata import version; print(version('gradio'))"
  return run(join(directory, 'bin', 'python'), ['-c', script]).then(
    version => version === GRADIO,
    () => false,
  )
}

async function expectPython(): Promise<void> {
  const version = await run('python3', ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']).catch(
    () => {
      throw new Missing('Gradio needs Python 3.10 or newer, and there is no python3 here: install it.')
    },
  )
  const [major, minor] = version.split('.').map(Number) as [number, number]
  if (major < 3 || (major === 3 && minor < 10))
    throw new Missing(`Gradio needs Python 3.10 or newer, and python3 is ${version} here.`)
}

async function make(directory: string): Promise<void> {
  await run('python3', ['-m', 'venv', directory]).catch(error => {
    throw new Missing(
      `python3 can't make a virtual environment here, which needs its modules venv and ensurepip (on Debian: apt-get install python3-venv): ${reasonOf(error)}`,
    )
  })
}

async function install(directory: string): Promise<void> {
  const options = [
    '--quiet',
    '--disable-pip-version-check',
    '--no-input',
    '--retries',
    '2',
    '--timeout',
    '20',
  ]
  await run(join(directory, 'bin', 'python'), [
    '-m',
    'pip',
    'install',
    ...options,
    `gradio==${GRADIO}`,
  ]).catch(error => {
    throw new Missing(
      `pip can't install gradio==${GRADIO} here, for which PyPI must be reachable: ${reasonOf(error)}`,
    )
  })
}

async function run(file: string, args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(file, args, { timeout: INSTALL_LIMIT })
  return stdout.trim()
}

/** The last line that the program printed. */
function reasonOf(error: unknown): string {
  const { stderr = '', message } = error as Error & { stderr?: string }
  return stderr.trim().split('\n').at(-1) || message
}
