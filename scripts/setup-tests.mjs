// Checks that everything the tests need from outside npm is installed, and installs what is missing where possible.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'

const components = [
  {
    name: 'Chromium',
    paths: [process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'],
    package: 'chromium',
    hint: 'or point CHROMIUM_PATH at one',
  },
  {
    // Where it is missing, the tests use the other one, which needs several times as long to open a page.
    name: 'Chromium without windows',
    paths: [process.env.CHROMIUM_SHELL_PATH ?? '/usr/lib/chromium/chromium-headless-shell'],
    package: 'chromium-headless-shell',
    isOptional: true,
  },
  {
    name: 'Firefox',
    paths: [process.env.FIREFOX_PATH ?? '/usr/bin/firefox-esr'],
    package: 'firefox-esr',
    hint: 'or point FIREFOX_PATH at one',
  },
  {
    name: 'Redis',
    paths: [process.env.REDIS_SERVER_PATH ?? '/usr/bin/redis-server'],
    package: 'redis-server',
    hint: 'or point REDIS_SERVER_PATH at one',
  },
  {
    // Lets a test set the time of a Redis.
    name: 'libfaketime',
    get paths() {
      const given = process.env.LIBFAKETIME_PATH
      if (given !== undefined) return [given]
      // In a folder per architecture.
      return ['*', ...readdirSync('/usr/lib')].map(name => `/usr/lib/${name}/faketime/libfaketime.so.1`)
    },
    package: 'libfaketime',
    hint: 'or point LIBFAKETIME_PATH at one',
  },
  {
    name: 'nginx',
    paths: [process.env.NGINX_PATH ?? '/usr/sbin/nginx'],
    package: 'nginx-light',
    hint: 'or point NGINX_PATH at one',
  },
  {
    name: 'PostgreSQL',
    // A folder for each major version. Debian calls one of them just `postgresql`.
    get paths() {
      const root = '/usr/lib/postgresql'
      const versions = existsSync(root) ? readdirSync(root) : []
      return ['*', ...versions].map(version => `${root}/${version}/bin/postgres`)
    },
    package: 'postgresql',
    hint: 'of any version',
  },
]

const isMissing = ({ paths }) => !paths.some(path => existsSync(path))
const run = (command, ...args) => spawnSync(command, args, { stdio: 'inherit' }).status === 0
// sudo drops the environment, so the setting goes with the command.
const asRoot = process.getuid?.() === 0 ? ['env'] : ['sudo', '-n', 'env']
const apt = (...args) => run(...asRoot, 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args)

const missing = components.filter(isMissing)

if (missing.length > 0 && existsSync('/usr/bin/apt-get')) {
  const install = components =>
    apt('install', '-y', '--no-install-recommends', ...components.map(component => component.package))
  const [optional, needed] = [true, false].map(is =>
    missing.filter(({ isOptional = false }) => isOptional === is),
  )
  if (apt('update')) {
    // All at once, since packages of one source depend on each other's version; not every distribution has all of them.
    install(missing) || (optional.length > 0 && needed.length > 0 && install(needed))
  }
}

for (const { name, paths, package: aptPackage, hint, isOptional } of missing.filter(isMissing)) {
  if (isOptional) continue
  console.error(`${name} is missing at ${paths.join(', ')}: apt-get install ${aptPackage}, ${hint}`)
  process.exitCode = 1
}
