/** Lua: the commands that enter sessions, and that report what a node keeps of them. */
export const ENTRIES = `
-- Adds a page. Returns whether this node expects it.
local function page_enters(s, page)
  local node = s.f['p:' .. page]
  s.f['p:' .. page] = me
  if node then
    if node ~= me then notify(node, 'moved', s.f.id, s.f.ver, page) end
    return false
  end
  local was_there = s.f.h
  s.f.h, s.f.y = '1', '1'
  local first = match_page(s)
  for _, other in ipairs(nodes_of(s)) do
    if other ~= me and (not was_there or other == first) then
      notify(other, 'page', s.f.id, s.f.ver, other == first and 1 or 0)
    end
  end
  return first == me
end

-- An entry: { id, phase, createdAt, load, had a page, whether this node expects the page, pages elsewhere, version, due in }, or {}.
function commands.enter(k, id, created_at, may_create, page, navigations, expected, scope)
  local s, phase, above = update_session(k), 'loaded', phase_above(k)
  if not s then
    if not may_create then return {} end
    s, phase = new_session(k, id, created_at, scope), 'new'
    if above ~= 'l' then s.f.p, s.f.l = 'n', '0' end
  end
  if s.f.p == 'u' or (s.f.p == 'n' and above == 'u') then
    phase = 'unloading'
  elseif s.f.p == 'n' and above == 'n' then
    phase = 'unloaded'
  elseif s.f.p == 'n' then
    phase = 'returned'
    load_again(s, me)
  end
  s.f.w = 'disconnected'
  if not s.f['k:' .. me] then redis.call('SADD', key('n', me), k) end
  save_share(s, me, share_from(true, true, -1, navigations, expected))
  local is_expected = page ~= '' and page_enters(s, page)
  local _, elsewhere = pages_of(s)
  local at = schedule(s, s.f.p == 'u' and s.f.o or me)
  return { s.f.id, phase, s.f.b, s.f.l, s.f.h and 1 or 0, is_expected and 1 or 0, elsewhere, s.f.ver, at }
end

-- Replaces this node's share: { due in, whether another node has local values too, whether another node expects a page, claim };
-- or { 'ENDED', reason }.
function commands.report(k, id, load_count, loaded, state, end_in, navigations, expected, page, values)
  local s = update_session(k)
  if not s or s.f.id ~= id then return { 'ENDED', reason_of_end(id) or 'disconnected' } end
  local before = share_of(s, me)
  -- Only an entry loads a session: a node that doesn't know the current load can't keep it loaded.
  local may_keep = (s.f.p == 'l' and tonumber(s.f.l) == load_count) or (before and before.loaded)
  if not before then redis.call('SADD', key('n', me), k) end
  save_share(s, me, share_from(loaded and may_keep, state, end_in, navigations, expected))
  if s.f['p:' .. page] == me then s.f['p:' .. page] = nil end
  local shared = 0
  if values then
    s.f['v:' .. me] = '1'
    for field in pairs(s.f) do
      if string.sub(field, 1, 2) == 'v:' and field ~= 'v:' .. me then shared = 1 end
    end
  end
  local expects = node_expecting_page(s, me) and 1 or 0
  local claim, at = claim_due(s)
  return { at, shared, expects, claim }
end

-- The framework session has expired: { due in }.
function commands.expire(k, id, end_in)
  local s = update_session(k)
  if not s or s.f.id ~= id then return {} end
  s.f.w, s.f.ua, s.f.ea = 'expired', '0', '0'
  local mine = share_of(s, me)
  if mine then
    mine.state, mine.ends = true, deadline(end_in)
    save_share(s, me, mine)
  end
  notify_others(s, 'expired', end_in)
  return { schedule(s, s.f.p == 'u' and s.f.o or me) }
end

-- A page said goodbye to this node: { 1 } if another node has the page and is notified, else { 0 }.
function commands.goodbye(k, page, epoch, hint)
  local s = read_session(k)
  local node = s and s.f['p:' .. page]
  if not node then return { 0 } end
  notify(node, 'goodbye', s.f.id, s.f.ver, page, epoch, hint)
  return { 1 }
end
`
