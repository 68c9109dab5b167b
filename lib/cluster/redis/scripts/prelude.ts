import { RECORDS } from './records.js'

/** Lua: the beginning of all scripts: keys, times, notifications, and the records. Fields are documented in index.ts. */
export const PRELUDE = `
local tag, me, channel = KEYS[1], ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local INF, CLAIM_TIME = math.huge, 15000

local function key(kind, name) return tag .. ':' .. kind .. (name and ':' .. name or '') end
local function text(number) return string.format('%.0f', number) end
local function split(line)
  local list = {}
  for word in string.gmatch(line or '', '%S+') do list[#list + 1] = word end
  return list
end
local function deadline(delay) return delay < 0 and '-' or text(now + delay) end

local function notify(node, ...)
  if node == '' then return end
  redis.call('RPUSH', key('in', node), cjson.encode({...}))
  redis.call('PUBLISH', channel .. node, tag)
end
${RECORDS}`
