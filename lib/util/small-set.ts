/** A set that mostly has one member, or none: an empty Set takes about 200 bytes, this nothing. Members are no Sets themselves. */
export type Few<T extends object> = T | Set<T> | undefined

export function including<T extends object>(few: Few<T>, member: T): Few<T> {
  if (few === undefined || few === member) return member
  return few instanceof Set ? few.add(member) : new Set([few, member])
}

export function without<T extends object>(few: Few<T>, member: T): Few<T> {
  if (!(few instanceof Set)) return few === member ? undefined : few
  few.delete(member)
  return few.size > 0 ? few : undefined
}

export function includes<T extends object>(few: Few<T>, member: T): boolean {
  return few instanceof Set ? few.has(member) : few === member
}

export function all<T extends object>(few: Few<T>): Iterable<T> {
  if (few instanceof Set) return few
  return few === undefined ? [] : [few]
}
