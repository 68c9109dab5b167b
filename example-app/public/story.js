import { inWords } from '/times.js'

/** In seconds. Above this, nobody would wait to see what happens. */
const patience = 120

const loopback = ['localhost', '127.0.0.1', '[::1]']

const part = {
  times: document.querySelectorAll('[data-time]'),
  unless: document.getElementById('unless'),
  tryIt: document.getElementById('try-it'),
  inspect: document.getElementById('inspect'),
}

/** Shows what will happen when the page is closed. */
export function drawStory(summary) {
  const { gracePeriod, unloadDelay, timeToLive } = summary
  for (const element of part.times) element.textContent = inWords(summary[element.dataset.time])
  part.unless.hidden = timeToLive === null
  // The server shows the inspector to browsers on its own machine, but not through the load balancer of the nodes.
  part.inspect.hidden = !loopback.includes(location.hostname) || summary.node !== null
  part.tryIt.textContent =
    gracePeriod <= patience
      ? `Try it: close this page, and open it again after ${inWords(unloadDelay + 3)}. Then close it once more, and
         come back after ${inWords(gracePeriod + 5)}. It tells you what happened meanwhile.`
      : 'To see all of it within a minute, start the server with GRACE_PERIOD=30.'
}
