import assert from 'node:assert/strict'
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { visitor } from 'gradio-state/testing'
import { parseAllDocuments } from 'yaml'
import { execute, type Folder, follow } from '../support/recipes/folder.ts'
import { expectGallery, upload } from '../support/recipes/gallery.ts'
import { start } from '../support/recipes/program.ts'
import { redisNode } from '../support/servers/redis-cluster.ts'

// Without Docker: the steps of the Dockerfile are taken in a directory, and the pods are processes.

let folder: Folder
before(async () => {
  folder = await follow('docker-kubernetes')
})

test('the image: the steps of the Dockerfile, its command, and SIGTERM', async t => {
  // Beside the app, whose package-lock.json has a relative path to the package.
  const image = join(folder.path, '../image')
  await mkdir(image)
  const steps = (folder.recipe.files.get('Dockerfile') ?? '').trimEnd().split('\n')
  for (const step of steps) {
    const [, instruction = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(step) ?? []
    if (instruction === 'COPY') {
      const files = rest.split(' ').slice(0, -1)
      for (const file of files) await cp(join(folder.path, file), join(image, file))
    }
    if (instruction === 'RUN') await execute('sh', ['-ec', rest], image)
  }
  assert.equal(steps.at(-1), 'CMD ["node", "server.js"]')
  const program = await start(t, { ...folder, path: image }, 'node server.js', {
    env: { NODE_ENV: 'production' },
  })
  assert.equal((await fetch(`${program.origin}/healthz`)).status, 200)
  await expectGallery(program, () => program.kill('SIGTERM'))
})

test('two pods share a user through Redis, and one that stops unloads no session', async t => {
  const redis = await redisNode()
  t.after(() => redis.remove())
  const pod = (name: string) =>
    start(t, folder, 'node server.js', {
      env: { REDIS_URL: redis.url, GRADIO_TEMP_DIR: join(folder.path, name) },
    })
  const [first, second] = await Promise.all([pod('first'), pod('second')])
  const user = visitor(first.origin)
  await upload(user)
  const same = visitor(second.origin)
  for (const [name, value] of user.cookies) same.cookies.set(name, value)
  const page = await same.openPage()
  assert.match(await (await same.fetch('/')).text(), /<img/)

  first.kill('SIGTERM')
  assert.deepEqual(await first.exited, [0, null], first.output())
  assert.match(await (await same.fetch('/')).text(), /<img/)
  await page.close()
  await second.printed('UNLOAD')
  second.kill('SIGTERM')
  assert.deepEqual(await second.exited, [0, null], second.output())
  const output = first.output() + second.output()
  assert.equal(output.match(/UNLOAD/g)?.length, 1, output)
  assert.doesNotMatch(output, /DELETED/)
})

/** What is read of a manifest of Kubernetes. */
interface Manifest {
  kind: string
  metadata: { name: string }
  spec: {
    selector: { [name: string]: unknown }
    ports?: { port: number; targetPort?: number }[]
    template: {
      metadata: { labels: object }
      spec: {
        terminationGracePeriodSeconds?: number
        containers: {
          ports: { containerPort: number }[]
          lifecycle?: { preStop: { exec: { command: string[] } } }
        }[]
      }
    }
  }
}

test('app.yaml: each service leads to its pods, and a pod has the time that close() takes', () => {
  const documents = [...parseAllDocuments(folder.recipe.files.get('app.yaml') ?? '')]
  assert.deepEqual(
    documents.flatMap(({ errors, warnings }) => [...errors, ...warnings]),
    [],
  )
  const manifests: Manifest[] = documents.map(document => document.toJS())
  const [deployments, services] = ['Deployment', 'Service'].map(kind =>
    manifests.filter(manifest => manifest.kind === kind),
  ) as [Manifest[], Manifest[]]
  assert.deepEqual([deployments.length, services.length], [2, 2])
  for (const { spec } of deployments)
    assert.deepEqual(spec.selector.matchLabels, spec.template.metadata.labels)
  for (const { metadata, spec } of services) {
    const deployment = deployments.find(({ metadata: { name } }) => name === metadata.name)
    assert.deepEqual(spec.selector, deployment?.spec.template.metadata.labels)
    const [{ port, targetPort = port } = { port: 0 }] = spec.ports ?? []
    assert.equal(deployment?.spec.template.spec.containers[0]?.ports[0]?.containerPort, targetPort)
  }
  const { terminationGracePeriodSeconds = 30, containers } = deployments[0]!.spec.template.spec
  const [, wait = '0'] = containers[0]?.lifecycle?.preStop.exec.command ?? []
  assert.ok(terminationGracePeriodSeconds > Number(wait) + 25)
})
