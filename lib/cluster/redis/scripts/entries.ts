/** Lua: the orders by which nodes enter sessions, and report what they keep of them. */
export const ENTRIES = `
-- Gives whether the page meets an expectation of this node.
local function page_enters(s, page)
  local node = s.f['p:' .. page]
  s.f['p:' .. page] = me
  if node then
    if node ~= me then tell(node, 'moved', s.f.id, s.f.ver, page) end
    return false
  end
  local was_there = s.f.h
  s.f.h, s.f.y = '1', '1'
  local first = expect_page(s)
  for _, other in ipairs(nodes_of(s)) do
    if other ~= me and (not was_there or other == first) then
      tell(other, 'page', s.f.id, s.f.ver, other == first and 1 or 0)
    end
  end
  return first == me
end

-- An entry comes: { id, phase, began, load, had a page, whether the page is expected here, pages elsewhere, version, due in }, or {}.
function orders.enter(k, id, born, make, page, navigations, expected)
  local s, phase = change(k), 'loaded'
  if not s then
    if not make then return {} end
    s, phase = create(k, id, born), 'new'
  elseif s.f.p == 'u' then
    phase = 'unloading'
  elseif s.f.p == 'n' then
    phase = 'returned'
    load_again(s, me)
  end
  s.f.w = 'disconnected'
  if not s.f['k:' .. me] then redis.call('SADD', key('n', me), k) end
  keep(s, me, told(true, true, -1, navigations, expected))
  local is_expected = page ~= '' and page_enters(s, page)
  local _, elsewhere = pages_of(s)
  local at = arm(s, s.f.p == 'u' and s.f.o or me)
  return { s.f.id, phase, s.f.b, s.f.l, s.f.h and 1 or 0, is_expected and 1 or 0, elsewhere, s.f.ver, at }
end

-- What this node keeps from now on: { due in, whether another node has values of its own, too, whether another one expects a
-- page, claim }; or { 'ENDED', reason }.
function orders.report(k, id, nth, loaded, state, end_in, navigations, expected, page, values)
  local s = change(k)
  if not s or s.f.id ~= id then return { 'ENDED', redis.call('HGET', key('x', id), 'why') or 'disconnected' } end
  local before = share_of(s, me)
  -- Only an entry loads: who doesn't know of that yet changes nothing.
  local may_keep = (s.f.p == 'l' and tonumber(s.f.l) == nth) or (before and before.loaded)
  if not before then redis.call('SADD', key('n', me), k) end
  keep(s, me, told(loaded and may_keep, state, end_in, navigations, expected))
  if s.f['p:' .. page] == me then s.f['p:' .. page] = nil end
  local shared = 0
  if values then
    s.f['v:' .. me] = '1'
    for field in pairs(s.f) do
      if string.sub(field, 1, 2) == 'v:' and field ~= 'v:' .. me then shared = 1 end
    end
  end
  local expects = awaiting(s, me) and 1 or 0
  local claim, at = work(s)
  return { at, shared, expects, claim }
end

-- The framework session has expired: { due in }.
function orders.expire(k, id, end_in)
  local s = change(k)
  if not s or s.f.id ~= id then return {} end
  s.f.w, s.f.ua, s.f.ea = 'expired', '0', '0'
  local mine = share_of(s, me)
  if mine then
    mine.state, mine.ends = true, later(end_in)
    keep(s, me, mine)
  end
  tell_others(s, 'expired', end_in)
  return { arm(s, s.f.p == 'u' and s.f.o or me) }
end

-- A page said goodbye to this node: { 1 } if another one that has it is told, else { 0 }.
function orders.goodbye(k, page, epoch, hint)
  local s = load(k)
  local node = s and s.f['p:' .. page]
  if not node then return { 0 } end
  tell(node, 'goodbye', s.f.id, s.f.ver, page, epoch, hint)
  return { 1 }
end
`
