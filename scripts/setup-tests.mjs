// Makes sure that what the tests need from outside npm is there, and installs what is missing where it can.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const components = [
  {
    name: 'Chromium',
    paths: [process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'],
    package: 'chromium',
    hint: 'or point CHROMIUM_PATH at one',
  },
]

const isMissing = ({ paths }) => !paths.some(path => existsSync(path))
const run = (command, ...args) =>
  spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
    .status === 0

const missing = components.filter(isMissing)
const canInstall = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')

if (missing.length > 0 && canInstall) {
  const packages = missing.map(component => component.package)
  run('apt-get', 'update') && run('apt-get', 'install', '-y', '--no-install-recommends', ...packages)
}

for (const { name, paths, package: aptPackage, hint } of missing.filter(isMissing)) {
  console.error(`${name} is missing at ${paths.join(', ')}: apt-get install ${aptPackage}, ${hint}`)
  process.exitCode = 1
}
