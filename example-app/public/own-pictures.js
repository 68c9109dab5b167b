import { connect } from '/gradio_api/client.js'

const $ = id => document.getElementById(id)
const part = {
  drop: $('drop'),
  idle: $('idle'),
  input: $('own-files'),
  limit: $('max-file-size'),
  busy: $('busy'),
  sending: $('sending'),
  percent: $('percent'),
  progress: $('progress'),
  cancel: $('cancel'),
  count: $('own-count'),
  uploads: $('uploads'),
  empty: $('own-empty'),
  status: $('own-status'),
}

/** Cancels the upload in progress. */
let aborting
let receive

/** @param onReceive is called with the summary after an upload */
export function startOwnPictures(onReceive) {
  receive = onReceive
  part.input.addEventListener('change', () => upload(part.input.files))
  part.cancel.addEventListener('click', () => aborting?.abort())
  // On the whole window: the browser would open a file that is dropped outside of the drop zone.
  window.addEventListener('dragover', event => {
    event.preventDefault()
    part.drop.classList.toggle('over', event.dataTransfer.types.includes('Files'))
  })
  window.addEventListener('dragleave', event => {
    if (!event.relatedTarget) part.drop.classList.remove('over')
  })
  window.addEventListener('drop', event => {
    event.preventDefault()
    part.drop.classList.remove('over')
    upload(event.dataTransfer.files)
  })
}

export function drawOwnPictures({ uploads, maxFileSize }) {
  part.limit.textContent = maxFileSize
  part.count.textContent = uploads.length || ''
  part.empty.hidden = uploads.length > 0
  const kept = new Map([...part.uploads.children].map(item => [item.dataset.url, item]))
  const urls = new Set(uploads.map(({ url }) => url))
  for (const [url, item] of kept) if (!urls.has(url)) item.remove()
  for (const picture of uploads) if (!kept.has(picture.url)) part.uploads.append(thumbnail(picture))
}

async function upload(files) {
  if (files.length === 0) return
  if (aborting) return showStatus('One upload at a time, please.', true)
  const pictures = [...files].filter(({ type }) => part.input.accept.split(',').includes(type))
  const other = [...files].find(file => !pictures.includes(file))
  if (other) return showStatus(`“${other.name}” is not a picture that this page can show.`, true)

  const what = pictures.length === 1 ? '1 picture' : `${pictures.length} pictures`
  aborting = new AbortController()
  begin(what)
  try {
    const server = await connect()
    const summary = await server.upload(pictures, {
      url: '/pictures',
      signal: aborting.signal,
      onProgress: showProgress,
    })
    receive(summary)
    showStatus(`Added ${what}.`)
  } catch (error) {
    if (error.name === 'AbortError') showStatus('Cancelled. Nothing was stored.')
    else showStatus(error.body?.error ?? 'The server is not responding. Your pictures were not added.', true)
  } finally {
    aborting = undefined
    end()
  }
}

function begin(what) {
  const hadFocus = part.drop.contains(document.activeElement)
  part.sending.textContent = `Adding ${what}`
  part.percent.textContent = ''
  part.progress.value = 0
  part.idle.hidden = true
  part.busy.hidden = false
  if (hadFocus) part.cancel.focus()
  showStatus('')
}

function showProgress({ loaded, total }) {
  part.progress.value = loaded / total
  part.percent.textContent = `${Math.floor((100 * loaded) / total)} %`
}

function end() {
  const hadFocus = part.drop.contains(document.activeElement)
  part.busy.hidden = true
  part.idle.hidden = false
  // The same file can be chosen again.
  part.input.value = ''
  if (hadFocus) part.input.focus()
}

function thumbnail({ name, url }) {
  const item = document.createElement('li')
  item.dataset.url = url
  const link = document.createElement('a')
  // In a new tab: leaving this page would close it.
  Object.assign(link, { href: url, target: '_blank', title: name })
  const image = new Image()
  Object.assign(image, { src: url, alt: name })
  link.append(image)
  item.append(link)
  return item
}

function showStatus(text, isTrouble = false) {
  part.status.classList.toggle('trouble', isTrouble)
  part.status.textContent = text
}
