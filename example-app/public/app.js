import { connect } from '/gradio_api/client.js'
import { drawOwnPictures, startOwnPictures } from '/own-pictures.js'

/** Between two looks at what the server holds, in ms. */
const pollEvery = 3000
/** An answer that takes longer counts as none. */
const patience = 10_000
const columns = 10

const $ = id => document.getElementById(id)
const page = {
  frame: $('frame'),
  caption: $('caption'),
  generate: $('generate'),
  status: $('status'),
  held: $('held'),
  values: $('values'),
  valuesUnit: $('values-unit'),
  files: $('files'),
  filesUnit: $('files-unit'),
  timeLeft: $('time-left'),
  outlook: $('outlook'),
  node: $('node'),
  count: $('count'),
  gallery: $('gallery'),
  empty: $('empty'),
  unless: $('unless'),
  times: document.querySelectorAll('[data-time]'),
}

/** The server's last answer; undefined before the first. */
let held
/** When the history's time to live is over, on this page's own clock; undefined while nothing counts down. */
let deadline
/** Whether its end has made this page look already. */
let lookedAtTheEnd = false
/** The name of the picture in the frame. */
let shown
let generating = false
/** Counts the pictures asked for and added here: an answer that left the server before the newest is old news. */
let round = 0
let nextPoll

page.generate.addEventListener('click', generate)
page.gallery.addEventListener('click', event => {
  const button = event.target.closest('button')
  if (button) show(held.pictures.find(picture => picture.name === button.name))
})
page.gallery.addEventListener('keydown', moveByArrow)
// Not when it hides: a page that is being closed should ask for nothing more.
document.addEventListener('visibilitychange', () => document.hidden || poll())
// Back from the browser's own cache of pages, where all timers had stopped.
window.addEventListener('pageshow', event => event.persisted && poll())
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
    // A request that left before the session's cookie is set would make a session of its own.
    await connect()
    receive(await ask('POST', '/generate'))
    const newest = held.pictures.at(-1)
    show(newest)
    say(`New picture: ${newest.colour}.`)
  } catch (error) {
    lament(error, 'Your picture was not made. Please try again.')
  } finally {
    setGenerating(false)
  }
}

/** Looks at what the server holds, and again in a while. The first look makes the first picture. */
async function poll() {
  clearTimeout(nextPoll)
  // A hidden page only asks for its first picture; for more when it is seen again.
  if (document.hidden && held) return
  const asked = round
  try {
    const first = held === undefined
    if (first) await connect()
    const answer = await (first ? ask('POST', '/start') : ask('GET', '/held'))
    if (asked === round && !generating) {
      receive(answer)
      if (first) {
        const returned = answer.pictures.length > 1
        say(returned ? 'Welcome back: your history is still here.' : 'Here is your first picture.')
      }
    }
  } catch (error) {
    if (!generating) lament(error, 'Trying again…')
  }
  clearTimeout(nextPoll)
  nextPoll = setTimeout(poll, pollEvery)
}

/** Looks at once when the server goes away or comes back, rather than at the next poll. */
async function watchTheConnection() {
  const server = await connect()
  server.addEventListener('connected', poll)
  server.addEventListener('disconnected', ({ detail }) => detail.reason === 'pagehide' || poll())
}

async function ask(method, url) {
  const response = await fetch(url, {
    method,
    headers: { Accept: 'application/json' },
    signal: AbortSignal.timeout(patience),
  })
  if (response.ok) return response.json()
  const { error } = await response.json().catch(() => ({}))
  throw Object.assign(new Error(error ?? `The server answered ${response.status}.`), { answered: true })
}

function receive(answer) {
  const before = held
  const sawNewest = shown === before?.pictures.at(-1)?.name
  held = answer
  page.held.classList.add('live')
  page.held.classList.remove('away')

  const overdue = deadline !== undefined && performance.now() > deadline - 1000
  lookedAtTheEnd = false
  deadline = answer.timeLeft === null ? undefined : performance.now() + answer.timeLeft * 1000

  drawGallery()
  drawOwnPictures(answer)
  if (sawNewest || !answer.pictures.some(picture => picture.name === shown)) show(answer.pictures.at(-1))
  if (page.status.classList.contains('trouble')) say('The server answers again.')
  if (before?.pictures.length && !answer.pictures.length) {
    say(
      overdue
        ? 'Your history was deleted: its time to live was over.'
        : 'The server has let go of your history.',
    )
  }
  drawHeld()
}

function drawGallery() {
  const { pictures } = held
  let buttons = thumbnails()
  // A history only grows, until it is gone and begins anew.
  if (buttons.some((button, i) => button.name !== pictures[i]?.name)) {
    if (page.gallery.contains(document.activeElement)) page.generate.focus()
    page.gallery.replaceChildren()
    buttons = []
  }
  for (const slot of page.gallery.querySelectorAll('.slot')) slot.remove()
  for (let i = buttons.length; i < pictures.length; i++) page.gallery.append(thumbnail(pictures[i], i + 1))
  while (page.gallery.children.length % columns || !page.gallery.children.length) page.gallery.append(slot())
  page.count.textContent = pictures.length || ''
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

/** An empty place that keeps the last row at ten. */
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

/** Puts a picture into the frame, or nothing. */
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

/** Each picture can be reached with Tab; the arrows are quicker. */
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

function drawHeld() {
  const { values, files, pictures, timeToLive, gracePeriod, node } = held
  page.values.textContent = values
  page.valuesUnit.textContent = values === 1 ? 'value' : 'values'
  page.files.textContent = files
  page.filesUnit.textContent = files === 1 ? 'file' : 'files'
  page.outlook.textContent = outlook(pictures.length, timeToLive, gracePeriod)
  for (const element of page.times) element.textContent = inWords(held[element.dataset.time])
  page.unless.hidden = timeToLive === null
  page.node.hidden = node === null
  page.node.textContent = `Answered by ${node}`
  tick()
}

function outlook(pictures, timeToLive, gracePeriod) {
  if (!pictures) return 'Your history is empty.'
  if (timeToLive !== null) return `Your history lives for ${inWords(timeToLive)} after its last picture.`
  return `Your history stays while this page is open, and ${inWords(gracePeriod)} longer.`
}

/** Counts down between two answers. */
function tick() {
  if (!held) return
  page.timeLeft.classList.toggle('words', deadline === undefined)
  if (deadline === undefined) {
    page.timeLeft.textContent = held.values ? 'while open' : '–'
    return
  }
  const left = Math.max(0, deadline - performance.now())
  page.timeLeft.textContent = onTheClock(Math.ceil(left / 1000))
  if (left === 0 && !lookedAtTheEnd) {
    lookedAtTheEnd = true
    poll()
  }
}

function setGenerating(yes) {
  generating = yes
  // Not `disabled`: that would take the keyboard's focus away from the button.
  page.generate.setAttribute('aria-disabled', yes)
}

function say(text) {
  page.status.classList.remove('trouble')
  page.status.textContent = text
}

function lament(error, whatNow) {
  if (!error.answered) {
    page.held.classList.add('away')
    page.held.classList.remove('live')
  }
  page.status.classList.add('trouble')
  const text = `${error.answered ? error.message : 'The server does not answer.'} ${whatNow}`
  // The same words again would be read out again.
  if (page.status.textContent !== text) page.status.textContent = text
}

function onTheClock(seconds) {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const two = number => String(number).padStart(2, '0')
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

function inWords(seconds) {
  for (const [size, one, many] of [
    [86_400, 'day', 'days'],
    [3600, 'hour', 'hours'],
    [60, 'minute', 'minutes'],
  ]) {
    const amount = seconds / size
    if (amount >= 1 && Number.isInteger(amount)) return `${amount} ${amount === 1 ? one : many}`
  }
  return `${seconds} ${seconds === 1 ? 'second' : 'seconds'}`
}
