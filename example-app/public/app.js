import { noteOpen, showWhatHappened } from '/away.js'
import { connect } from '/gradio_api/client.js'
import { drawOwnPictures, startOwnPictures } from '/own-pictures.js'
import { drawStory } from '/story.js'
import { inWords, onTheClock } from '/times.js'

/** Polling interval, in milliseconds. */
const pollInterval = 3000
/** Time limit of a request, in milliseconds. */
const requestTimeout = 10_000
const columns = 10

const $ = id => document.getElementById(id)
const page = {
  frame: $('frame'),
  caption: $('caption'),
  generate: $('generate'),
  status: $('status'),
  summary: $('summary'),
  values: $('values'),
  valuesUnit: $('values-unit'),
  files: $('files'),
  filesUnit: $('files-unit'),
  timeLeft: $('time-left'),
  outlook: $('outlook'),
  node: $('node'),
  count: $('count'),
  inTab: $('in-tab'),
  gallery: $('gallery'),
  empty: $('empty'),
}

/** The last response of the server; undefined before the first. */
let summary
/** When the history's time to live is over, on the clock of this page; undefined if it has none, or is empty. */
let deadline
/** Whether this page has polled when that time was over. */
let polledAtDeadline = false
/** The name of the picture in the frame. */
let shown
let generating = false
/** Whether the page was opened or restored, and has yet to show what happened before that. */
let hasReturned = true
/** Counts the pictures that were requested here. A poll that was sent before the last of them is ignored. */
let round = 0
let nextPoll

page.generate.addEventListener('click', generate)
page.gallery.addEventListener('click', event => {
  const button = event.target.closest('button')
  if (button) show(summary.pictures.find(picture => picture.name === button.name))
})
page.gallery.addEventListener('keydown', moveByArrow)
// Not when it is hidden: a page that is being closed should send no more requests.
document.addEventListener('visibilitychange', () => (document.hidden ? noteOpen(summary?.session) : poll()))
// Restored from the back/forward cache, where all timers had stopped.
window.addEventListener('pageshow', event => {
  if (!event.persisted) return
  hasReturned = true
  poll()
})
// A browser may lose what a closing page stores, so each poll does it too.
window.addEventListener('pagehide', () => noteOpen(summary?.session))
startOwnPictures(answer => {
  round++
  receive(answer)
})
setInterval(tick, 1000)
poll()
watchTheConnection()

async function generate() {
  if (generating) return
  setGenerating(true)
  round++
  try {
    // A request that is sent before the session's cookie is set would start another session.
    await connect()
    receive(await ask('POST', '/generate'))
    const newest = summary.pictures.at(-1)
    show(newest)
    showStatus(`New picture: ${newest.colour}.`)
  } catch (error) {
    showError(error, 'Your picture was not generated. Please try again.')
  } finally {
    setGenerating(false)
  }
}

/** Requests the summary, and schedules the next poll. The first poll generates the first picture. */
async function poll() {
  clearTimeout(nextPoll)
  // A hidden page requests only its first picture, and polls again when it is shown.
  if (document.hidden && summary) return
  const asked = round
  try {
    const first = summary === undefined
    if (first) await connect()
    const answer = await (first ? ask('POST', '/start') : ask('GET', '/summary'))
    if (asked === round && !generating) {
      receive(answer)
      if (hasReturned) {
        hasReturned = false
        await showWhatHappened(session => ask('GET', `/reports/${session}`))
      }
      noteOpen(answer.session)
      if (first) {
        const returned = answer.pictures.length > 1
        showStatus(returned ? 'Welcome back: your history is still here.' : 'Here is your first picture.')
      }
    }
  } catch (error) {
    if (!generating) showError(error, 'Trying again…')
  }
  clearTimeout(nextPoll)
  nextPoll = setTimeout(poll, pollInterval)
}

/** Polls at once when the connection is lost or restored. */
async function watchTheConnection() {
  const server = await connect()
  server.addEventListener('connected', poll)
  server.addEventListener('disconnected', ({ detail }) => detail.reason === 'pagehide' || poll())
}

async function ask(method, url) {
  // The headers name the tab to the server, which counts the pictures of each.
  const { headers } = await connect()
  const response = await fetch(url, {
    method,
    headers: { ...headers, Accept: 'application/json' },
    signal: AbortSignal.timeout(requestTimeout),
  })
  if (response.ok) return response.json()
  const { error } = await response.json().catch(() => ({}))
  throw Object.assign(new Error(error ?? `The server answered ${response.status}.`), { answered: true })
}

function receive(answer) {
  const before = summary
  const sawNewest = shown === before?.pictures.at(-1)?.name
  summary = answer
  page.summary.classList.add('live')
  page.summary.classList.remove('away')

  const overdue = deadline !== undefined && performance.now() > deadline - 1000
  polledAtDeadline = false
  deadline = answer.timeLeft === null ? undefined : performance.now() + answer.timeLeft * 1000

  drawGallery()
  drawOwnPictures(answer)
  if (sawNewest || !answer.pictures.some(picture => picture.name === shown)) show(answer.pictures.at(-1))
  if (page.status.classList.contains('trouble')) showStatus('The server is responding again.')
  if (before?.pictures.length && !answer.pictures.length) {
    showStatus(
      overdue
        ? 'Your history was deleted: its time to live was over.'
        : 'The server has deleted your history.',
    )
  }
  drawSummary()
}

function drawGallery() {
  const { pictures } = summary
  let buttons = thumbnails()
  // A history only grows, until it is deleted and starts again.
  if (buttons.some((button, i) => button.name !== pictures[i]?.name)) {
    if (page.gallery.contains(document.activeElement)) page.generate.focus()
    page.gallery.replaceChildren()
    buttons = []
  }
  for (const slot of page.gallery.querySelectorAll('.slot')) slot.remove()
  for (let i = buttons.length; i < pictures.length; i++) page.gallery.append(thumbnail(pictures[i], i + 1))
  while (page.gallery.children.length % columns || !page.gallery.children.length) page.gallery.append(slot())
  page.count.textContent = pictures.length || ''
  page.inTab.textContent = summary.inTab ? `· ${summary.inTab} in this tab` : ''
  page.empty.hidden = pictures.length > 0
}

function thumbnails() {
  return [...page.gallery.querySelectorAll('button')]
}

function thumbnail({ name, colour, url }, number) {
  const item = document.createElement('li')
  const button = document.createElement('button')
  button.type = 'button'
  button.name = name
  button.setAttribute('aria-label', `Picture ${number}, ${colour}`)
  button.append(image(url, ''))
  item.append(button)
  return item
}

/** An empty place that fills the last row. */
function slot() {
  const item = document.createElement('li')
  item.className = 'slot'
  item.setAttribute('aria-hidden', 'true')
  return item
}

function image(url, alt) {
  const image = new Image(100, 100)
  image.alt = alt
  image.src = url
  return image
}

/** Shows a picture in the frame, or clears the frame. */
function show(picture) {
  if (!picture) {
    page.frame.replaceChildren()
    page.caption.textContent = 'No picture'
  } else if (picture.name !== shown) {
    page.frame.replaceChildren(image(picture.url, `Square in ${picture.colour}`))
    page.caption.textContent = picture.name
  }
  shown = picture?.name
  for (const button of thumbnails()) {
    if (button.name === shown) button.setAttribute('aria-current', 'true')
    else button.removeAttribute('aria-current')
  }
}

/** Moves the focus with the arrow keys. Each picture can be reached with Tab, too. */
function moveByArrow(event) {
  const buttons = thumbnails()
  const from = buttons.indexOf(document.activeElement)
  const to = {
    ArrowLeft: from - 1,
    ArrowRight: from + 1,
    ArrowUp: from - columns,
    ArrowDown: from + columns,
    Home: 0,
    End: buttons.length - 1,
  }[event.key]
  if (from < 0 || to === undefined || event.ctrlKey || event.metaKey || event.altKey) return
  event.preventDefault()
  buttons[to]?.focus()
}

function drawSummary() {
  const { values, files, pictures, timeToLive, gracePeriod, node } = summary
  page.values.textContent = values
  page.valuesUnit.textContent = values === 1 ? 'value' : 'values'
  page.files.textContent = files
  page.filesUnit.textContent = files === 1 ? 'file' : 'files'
  page.outlook.textContent = outlook(pictures.length, timeToLive, gracePeriod)
  drawStory(summary)
  page.node.hidden = node === null
  page.node.textContent = `Answered by ${node}`
  tick()
}

function outlook(pictures, timeToLive, gracePeriod) {
  if (!pictures) return 'Your history is empty.'
  if (timeToLive !== null) return `Your history is deleted ${inWords(timeToLive)} after its last picture.`
  return `Your history is kept while this page is open, and for ${inWords(gracePeriod)} after that.`
}

/** Updates the countdown between two polls. */
function tick() {
  if (!summary) return
  page.timeLeft.classList.toggle('words', deadline === undefined)
  if (deadline === undefined) {
    page.timeLeft.textContent = summary.values ? 'while open' : '–'
    return
  }
  const left = Math.max(0, deadline - performance.now())
  page.timeLeft.textContent = onTheClock(Math.ceil(left / 1000))
  if (left === 0 && !polledAtDeadline) {
    polledAtDeadline = true
    poll()
  }
}

function setGenerating(yes) {
  generating = yes
  // `disabled` would remove the keyboard focus from the button.
  page.generate.setAttribute('aria-disabled', yes)
}

function showStatus(text) {
  page.status.classList.remove('trouble')
  page.status.textContent = text
}

function showError(error, whatNow) {
  if (!error.answered) {
    page.summary.classList.add('away')
    page.summary.classList.remove('live')
  }
  page.status.classList.add('trouble')
  const text = `${error.answered ? error.message : 'The server is not responding.'} ${whatNow}`
  // Screen readers would read the same text again.
  if (page.status.textContent !== text) page.status.textContent = text
}
