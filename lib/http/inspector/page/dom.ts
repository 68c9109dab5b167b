/** The element of page.html with that id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`page.html has no element #${id}`)
  return found as T
}

/** Creates an element. Strings are added as text and never parsed as HTML, because names and info come from users. */
export function element<N extends keyof HTMLElementTagNameMap>(
  name: N,
  className = '',
  ...children: (Node | string)[]
): HTMLElementTagNameMap[N] {
  const made = document.createElement(name)
  made.className = className
  made.append(...children)
  return made
}

/** Sets a text only if it has changed, to keep the selection, and so that screen readers don't announce it again. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text
}

/** A view of one item: its element, and how to show the item's current data in it. */
export interface ItemView<T> {
  readonly root: HTMLElement
  show(item: T): void
}

/** Shows a list. The element of a key is reused, which keeps the focus and the selection. */
export class ListView<T> {
  readonly #parent: HTMLElement
  readonly #make: () => ItemView<T>
  readonly #keyOf: (item: T, index: number) => string
  #views = new Map<string, ItemView<T>>()

  /** @param keyOf unique in the list; default: by position */
  constructor(
    parent: HTMLElement,
    make: () => ItemView<T>,
    keyOf: (item: T, index: number) => string = (_, index) => String(index),
  ) {
    this.#parent = parent
    this.#make = make
    this.#keyOf = keyOf
  }

  show(items: readonly T[]): void {
    const views = new Map<string, ItemView<T>>()
    for (const [index, item] of items.entries()) {
      const key = this.#keyOf(item, index)
      const view = this.#views.get(key) ?? this.#make()
      view.show(item)
      views.set(key, view)
    }
    for (const [key, { root }] of this.#views) if (!views.has(key)) root.remove()
    this.#views = views
    const focused = document.activeElement
    let index = 0
    for (const { root } of views.values()) {
      const present = this.#parent.children[index++]
      if (present !== root) this.#parent.insertBefore(root, present ?? null)
    }
    // An element that is moved loses the focus.
    if (focused instanceof HTMLElement && focused !== document.activeElement) focused.focus()
  }
}
