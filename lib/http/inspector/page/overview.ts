import type { DueItem, EventRow, Limit, Snapshot } from '../data.js'
import { byId, element, type ItemView, ListView, setText } from './dom.js'
import { dueText } from './due.js'
import { bytes, count, duration, shortId } from './format.js'

const limits = new ListView<Limit>(byId('limits'), limitView)
const due = new ListView<DueItem>(byId('due'), dueView)
const errors = new ListView<EventRow>(byId('errors'), eventView)
const events = new ListView<EventRow>(byId('events'), eventView)

/** Shows what concerns the whole process. */
export function showOverview(snapshot: Snapshot): void {
  const { pid, host, node, uptime, isShared } = snapshot.process
  const cluster = isShared ? ', one of a cluster' : ''
  setText(byId('process'), `Process ${pid} on ${host}${cluster} · Node.js ${node} · up ${duration(uptime)}`)
  limits.show(snapshot.limits)
  due.show(snapshot.due)
  errors.show(snapshot.errors)
  events.show(snapshot.events)
  byId('no-due').hidden = snapshot.due.length > 0
  byId('no-errors').hidden = snapshot.errors.length > 0
  byId('no-events').hidden = snapshot.events.length > 0
}

export function limitView(): ItemView<Limit> {
  const label = element('span', 'label')
  const option = element('code')
  const amount = element('span', 'amount')
  const meter = element('meter')
  return {
    root: element('li', '', element('div', 'line', label, amount), meter, option),
    show({ label: name, option: optionName, unit, used, max }) {
      const show = unit === 'bytes' ? bytes : count
      const text = max === null ? `${show(used)}, no limit` : `${show(used)} of ${show(max)}`
      setText(label, name)
      setText(option, optionName)
      setText(amount, text)
      meter.max = max ?? 1
      meter.high = 0.8 * meter.max
      meter.value = max === null ? 0 : used
      meter.setAttribute('aria-label', `${name}: ${text}`)
    },
  }
}

function dueView(): ItemView<DueItem> {
  const link = element('a', 'id')
  const text = element('span')
  return {
    root: element('li', '', link, text),
    show(item) {
      showLink(link, item.session)
      setText(text, dueText(item))
    },
  }
}

function eventView(): ItemView<EventRow> {
  const link = element('a', 'id')
  const text = element('span')
  const ago = element('time')
  return {
    root: element('li', '', link, text, ago),
    show(event) {
      link.hidden = event.session === null
      showLink(link, event.session ?? '')
      setText(text, event.text)
      setText(ago, duration(event.ago))
    },
  }
}

function showLink(link: HTMLAnchorElement, id: string): void {
  link.href = `#session=${id}`
  link.title = id
  setText(link, shortId(id))
}
