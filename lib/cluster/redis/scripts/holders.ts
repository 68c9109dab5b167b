/** Lua: the orders that concern who holds a session. */
export const HOLDERS = `
local function drop_late(s)
  local awaited = {}
  for _, at in ipairs(words(s.f.aw)) do if tonumber(at) > now then awaited[#awaited + 1] = at end end
  return awaited
end

local function note_early(s, early) s.f.er = early > 0 and text(early) or nil end

local function page_came(s, navigations)
  s.f.h, s.f.y = '1', '1'
  local awaited, early = drop_late(s), tonumber(s.f.er or 0)
  if #awaited > 0 then table.remove(awaited, 1)
  elseif early < navigations then note_early(s, early + 1) end
  s.f.aw = #awaited > 0 and table.concat(awaited, ' ') or nil
end

-- A holder comes, to the life that is there (if 'only' names one: only to that) or to a new one: { life, phase, began, load, pages elsewhere, due in } or {}.
function orders.open(k, life, born, make, only, kind, page, navigations, requests, unload_in, is_new)
  local s, phase = load(k), 'loaded'
  if s and only ~= '' and s.f.id ~= only then return {} end
  if not s then
    if not make then return {} end
    s, phase = create(k, life, born), 'new'
  elseif s.f.p == 'u' then
    phase = 'unloading'
  elseif s.f.p == 'n' then
    phase = 'returned'
    s.f.p, s.f.l = 'l', text(s.f.l + 1)
    s.f.h = count(s) > 0 and '1' or nil
  end
  local _, _, others = count(s)
  if kind == 'page' then
    local node = s.f['p:' .. page]
    s.f['p:' .. page] = me
    if node and node ~= me then tell(node, 'moved', s.f.id, page)
    elseif not node then page_came(s, others) end
  end
  if is_new then s.f.w = 'disconnected' end
  s.f['n:' .. me] = navigations .. ' ' .. requests
  redis.call('SADD', key('n', me), k)
  s.f.ua = text(math.max(tonumber(s.f.ua), now + unload_in))
  local _, elsewhere = count(s)
  local at = arm(s, me)
  return { s.f.id, phase, s.f.b, s.f.l, elsewhere, at }
end

-- A holder has gone: { due in, whether another node has values of its own, too } or {}.
function orders.leave(k, life, kind, page, navigations, requests, unload_in, end_in, await, values)
  local s = load(k)
  if not s or s.f.id ~= life then return {} end
  s.f['n:' .. me] = navigations .. ' ' .. requests
  if kind == 'page' and s.f['p:' .. page] == me then s.f['p:' .. page] = nil end
  s.f.ea = later(end_in)
  if kind == 'page' or not s.f.h then s.f.ua = text(math.max(tonumber(s.f.ua), now + unload_in)) end
  if kind == 'navigation' then
    local awaited, early = drop_late(s), tonumber(s.f.er or 0)
    if early > 0 then note_early(s, early - 1)
    elseif await >= 0 then awaited[#awaited + 1] = text(now + await) end
    s.f.aw = #awaited > 0 and table.concat(awaited, ' ') or nil
  end
  local shared = 0
  if values then
    s.f['v:' .. me] = '1'
    for field in pairs(s.f) do
      if string.sub(field, 1, 2) == 'v:' and field ~= 'v:' .. me then shared = 1 end
    end
  end
  return { arm(s, me), shared }
end

-- How many of its navigations and requests this node holds: {}.
function orders.sync(k, life, navigations, requests)
  local s = load(k)
  if not s or s.f.id ~= life then return {} end
  s.f['n:' .. me] = navigations .. ' ' .. requests
  arm(s, s.f.o)
  return {}
end

-- Whether a page is this node's: { 1 or 0 }, also of a life that is over, of which the node hears otherwise.
function orders.holds(k, life, page)
  local s = load(k)
  return { (not s or s.f.id ~= life or s.f['p:' .. page] == me) and 1 or 0 }
end

-- The host session is gone: { due in }.
function orders.expire(k, life, end_in)
  local s = load(k)
  if not s or s.f.id ~= life then return {} end
  s.f.w, s.f.ea = 'expired', later(end_in)
  tell_others(s, 'expired', life)
  return { arm(s, me) }
end

-- A page said goodbye to this node: { 1 } if another one that holds it is told, else { 0 }.
function orders.goodbye(k, page, epoch)
  local s = load(k)
  local node = s and s.f['p:' .. page]
  if not node then return { 0 } end
  tell(node, 'goodbye', s.f.id, page, epoch)
  return { 1 }
end
`
