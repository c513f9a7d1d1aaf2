-- Everything that one node asks of the counters in one turn of its event loop.
--
-- ARGV[1] is a MessagePack array: prefix, node, session, call, the epoch that the node knows, a name for a new
-- one, then operations, each a code and its arguments. The answer is an array: status, epoch, now in milliseconds, the last call of this node that ran,
-- then for each check what its counter held before it, and for a log the moment that a refusal waits for.
-- What is answered and what is taken follow the counters in memory to the last bit; who asked judges again by
-- the same rules what it is told, so that nothing but facts travels.
--
-- Numbers are doubles: integers up to 2^53 are exact, and larger sums stay larger.

local call, pack, unpack_, floor = redis.call, struct.pack, struct.unpack, math.floor
local sub, huge = string.sub, 9007199254740992
local LONGEST_MS = 1e15
local OK, STALE, ANOTHER_EPOCH = 0, 1, 2

local asked = cmsgpack.unpack(ARGV[1])
local prefix, node, session, number, epoch = asked[1], asked[2], asked[3], asked[4], asked[5]

-- The epoch ends when the counts are lost; the clock never runs backwards, wherever Redis runs.
local told = call('GET', prefix .. 'epoch')
local time = call('TIME')
local now = time[1] * 1000 + floor(time[2] / 1000)
local stored, last, ahead = asked[6], 0, 0
if told then
  last, ahead = unpack_('<dd', told)
  stored = sub(told, 17)
end
now = now + ahead
if now < last then
  ahead = ahead + last - now
  now = last
end
call('SET', prefix .. 'epoch', pack('<dd', now, ahead) .. stored)

-- Calls of a session that its node has given up do not run any more, however late they arrive.
local place = prefix .. 'node:' .. node
local fence, ran = call('GET', place), 0
if fence then
  local newest
  newest, ran = unpack_('<dd', fence)
  if session < newest then return { STALE, stored, now, ran } end
end
call('SET', place, pack('<dd', session, number), 'EX', 86400)
local out = { OK, stored, now, ran }
if stored ~= epoch then
  out[1] = ANOTHER_EPOCH
  return out
end

local at, grace_ms, kept, looks = 6, 1000, 2, false
local clock = now

local function text(number_)
  if number_ < 1e14 then return number_ end
  return string.format('%.0f', number_)
end

local function lives(name, need_ms)
  if call('PTTL', name) < need_ms then
    call('PEXPIRE', name, string.format('%.0f', math.min(need_ms + grace_ms, LONGEST_MS)))
  end
end

-- Sliding windows: the starts and counts of the windows entered last, the newest at the end.

local function windows(value, start, duration)
  local current, previous = 0, 0
  for from = 1, #value, 16 do
    local began, count = unpack_('<dd', value, from)
    if began == start then
      current = count
    elseif began == start - duration then
      previous = count
    end
  end
  return current, previous
end

local function enter(name, field, value, start, duration, count)
  local written, newest = pack('<dd', start, count), nil
  if value then newest = unpack_('<d', value, #value - 15) end
  if newest == start then
    call('HSET', name, field, sub(value, 1, -17) .. written)
    return
  end
  local others = ''
  for from = 1, value and #value or 0, 16 do
    if unpack_('<d', value, from) ~= start then others = others .. sub(value, from, from + 15) end
  end
  call('HSET', name, field, sub(others, -16 * (kept - 1)) .. written)
  lives(name, start + 2 * duration - now)
end

-- Logs: a list of moments, each with its cost behind a colon where that is not 1; beside it the total, the last
-- moment and its cost, and the first moment.

local function entry(written)
  local colon = string.find(written, ':', 1, true)
  if not colon then return tonumber(written), 1 end
  return tonumber(sub(written, 1, colon - 1)), tonumber(sub(written, colon + 1))
end

local function written(moment, cost)
  local first = string.format('%.0f', moment)
  if cost == 1 then return first end
  return first .. ':' .. string.format('%.0f', cost)
end

local function each(list, visit)
  local from, many = 0, 16
  repeat
    local some = call('LRANGE', list, from, from + many - 1)
    for _, one in ipairs(some) do
      if visit(entry(one)) then return end
    end
    local finished = #some < many
    from, many = from + many, math.min(many * 2, 1024)
  until finished
end

local function expire(log, duration)
  local gone, lost, first = 0, 0, 0
  each(log.list, function(moment, cost)
    if moment > now - duration then
      first = moment
      return true
    end
    gone, lost = gone + 1, lost + cost
  end)
  call('LTRIM', log.list, gone, -1)
  log.total, log.first, log.dirty = log.total - lost, first, true
end

local function held(log, duration)
  if log.total == 0 then return 0 end
  if log.last > now then
    local near = 0
    each(log.list, function(moment, cost)
      if math.abs(moment - now) < duration then near = near + cost end
    end)
    return near
  end
  if log.last <= now - duration then
    call('DEL', log.list)
    log.total, log.first, log.dirty = 0, 0, true
  elseif log.first <= now - duration then
    expire(log, duration)
  end
  return log.total
end

local function freed(log, surplus, duration)
  local found = now
  if surplus > 0 then
    each(log.list, function(moment, cost)
      if math.abs(moment - now) < duration then
        found, surplus = moment, surplus - cost
        return surplus <= 0
      end
    end)
  end
  return found
end

local function insert(log, moment, cost)
  local all, placed = {}, false
  each(log.list, function(other, its)
    if not placed and other >= moment then
      placed = true
      if other == moment then
        its = its + cost
      else
        all[#all + 1] = written(moment, cost)
      end
    end
    all[#all + 1] = written(other, its)
  end)
  call('DEL', log.list)
  for _, one in ipairs(all) do call('RPUSH', log.list, one) end
  log.first = entry(all[1])
  local _, its = entry(all[#all])
  log.cost = its
end

local function append(log, moment, cost, duration)
  if log.total > 0 and log.last > moment then
    insert(log, moment, cost)
  elseif log.total > 0 and log.last == moment then
    log.cost = log.cost + cost
    call('LSET', log.list, -1, written(moment, log.cost))
  else
    if log.total == 0 then
      call('DEL', log.list)
      log.first = moment
    end
    call('RPUSH', log.list, written(moment, cost))
    log.last, log.cost = moment, cost
  end
  log.total, log.dirty = log.total + cost, true
end

-- Buckets: a level of whole tokens and of parts of one, of which there are as many as the duration has
-- milliseconds; when that was; and the limit it was filled under.

local function leaked(limit, passed, duration)
  local product = limit * passed
  if product < huge then
    local whole = floor(product / duration)
    return whole, product - whole * duration
  end
  local rounds = floor(passed / duration)
  local into, whole, part, bit = passed - rounds * duration, 0, 0, huge / 2
  while bit >= 1 do
    whole = whole * 2
    if part >= duration - part then
      part, whole = part - (duration - part), whole + 1
    else
      part = part * 2
    end
    if limit >= bit then
      limit = limit - bit
      whole = whole + rounds
      if part >= duration - into then
        part, whole = part - (duration - into), whole + 1
      else
        part = part + into
      end
    end
    bit = bit / 2
  end
  return whole, part
end

local function level(bucket, limit, duration)
  local whole, part = bucket.whole, bucket.part
  local passed = now - bucket.at
  if (whole == 0 and part == 0) or passed <= 0 then return whole, part end
  local gone, gone_part = leaked(bucket.limit, passed, duration)
  if gone > whole or (gone == whole and gone_part >= part) then return 0, 0 end
  if limit ~= bucket.limit then
    gone, gone_part = leaked(limit, passed, duration)
    if gone > whole or (gone == whole and gone_part >= part) then return 0, 0 end
  end
  if part >= gone_part then return whole - gone, part - gone_part end
  return whole - gone - 1, duration - (gone_part - part)
end

-- Counters of any kind, as the checks of a request find and leave them.

local function counter(key, algorithm, duration)
  local name = prefix .. 'c:' .. key
  local found = { key = key, name = name, algorithm = algorithm, duration = duration }
  found.field = algorithm .. text(duration)
  local value = call('HGET', name, found.field)
  found.value = value
  if algorithm == 's' then
    found.start = now - now % duration
    found.current, found.previous = 0, 0
    if value then found.current, found.previous = windows(value, found.start, duration) end
  elseif algorithm == 'm' then
    found.list = prefix .. 'l:' .. text(duration) .. ':' .. key
    found.total, found.last, found.cost, found.first = 0, 0, 0, 0
    if value then found.total, found.last, found.cost, found.first = unpack_('<dddd', value) end
  else
    found.whole, found.part, found.at, found.limit = 0, 0, 0, 0
    if value then found.whole, found.part, found.at, found.limit = unpack_('<dddd', value) end
  end
  return found
end

local function fits(found, check, cost)
  if found.algorithm == 's' then
    local weight = 1.0 - (now % found.duration) / found.duration
    return found.current + cost + floor(found.previous * weight) <= check.limit
  elseif found.algorithm == 'm' then
    return held(found, found.duration) + cost <= check.limit
  end
  local whole, part = level(found, check.limit, found.duration)
  return whole + cost + (part > 0 and 1 or 0) <= check.capacity
end

local function take(found, cost, limit)
  if cost == 0 then return end
  found.dirty = true
  if found.algorithm == 's' then
    found.current = found.current + cost
  elseif found.algorithm == 'm' then
    append(found, now, cost, found.duration)
  else
    local whole, part = level(found, limit, found.duration)
    found.whole, found.part, found.limit = whole + cost, part, limit
    if now > found.at then found.at = now end
  end
end

local function save(found)
  if not found.dirty then return end
  found.dirty = false
  local name, duration = found.name, found.duration
  if found.algorithm == 's' then
    enter(name, found.field, found.value, found.start, duration, found.current)
  elseif found.algorithm == 'm' then
    call('HSET', name, found.field, pack('<dddd', found.total, found.last, found.cost, found.first))
    if found.total > 0 then
      lives(found.list, found.last + duration - now)
      lives(name, found.last + duration - now)
    end
  else
    call('HSET', name, found.field, pack('<dddd', found.whole, found.part, found.at, found.limit))
    lives(name, found.at - now + (found.whole + 1) * duration / found.limit)
  end
end

local function tell(found)
  if found.algorithm == 's' then
    out[#out + 1] = found.previous
    out[#out + 1] = found.current
  elseif found.algorithm == 'm' then
    out[#out + 1] = held(found, found.duration)
    out[#out + 1] = found.last
    out[#out + 1] = -1
  else
    out[#out + 1] = found.whole
    out[#out + 1] = found.part
    out[#out + 1] = found.at
    out[#out + 1] = found.limit
  end
  return #out
end

-- What one node may ask.

local function plain()
  local key, limit, duration, cost = asked[at + 1], asked[at + 2], asked[at + 3], asked[at + 4]
  at = at + 4
  local name, field = prefix .. 'c:' .. key, 's' .. text(duration)
  local value, into = call('HGET', name, field), now % duration
  local current, previous = 0, 0
  if value then current, previous = windows(value, now - into, duration) end
  out[#out + 1] = previous
  out[#out + 1] = current
  if cost == 0 or looks then return end
  local after = current + cost
  if after + floor(previous * (1.0 - into / duration)) > limit then return end
  enter(name, field, value, now - into, duration, after)
end

local function wait_for(found, check, cost, told_at)
  if found.algorithm == 'm' and cost <= check.limit then
    out[told_at] = freed(found, held(found, found.duration) + cost - check.limit, found.duration)
  end
end

local function request(many)
  local checks, counters, pending, admitted = {}, {}, {}, true
  for place_ = 1, many do
    local check = {
      limit = asked[at + 2],
      cost = asked[at + 4],
      capacity = asked[at + 6],
      shadow = asked[at + 7] == 1,
    }
    local id = asked[at + 5] .. text(asked[at + 3]) .. ':' .. asked[at + 1]
    check.counter = counters[id] or counter(asked[at + 1], asked[at + 5], asked[at + 3])
    counters[id] = check.counter
    check.told = tell(check.counter)
    checks[place_] = check
    at = at + 7
  end
  for _, check in ipairs(checks) do
    if not check.shadow then
      local after = (pending[check.counter] or 0) + check.cost
      pending[check.counter] = after
      if not fits(check.counter, check, after) then
        admitted = false
        wait_for(check.counter, check, after, check.told)
      end
    end
  end
  if not admitted then pending = {} end
  for _, check in ipairs(checks) do
    if check.shadow then
      local after = (pending[check.counter] or 0) + check.cost
      check.fits = fits(check.counter, check, after)
      if check.fits then
        pending[check.counter] = after
      else
        wait_for(check.counter, check, after, check.told)
      end
    end
  end
  for _, check in ipairs(checks) do
    if not looks and (check.shadow and check.fits or not check.shadow and admitted) then
      take(check.counter, check.cost, check.limit)
    end
  end
  for _, found in pairs(counters) do save(found) end
end

local function reset(key, algorithm, duration)
  local name = prefix .. 'c:' .. key
  for _, field in ipairs(call('HKEYS', name)) do
    local kind, length = sub(field, 1, 1), sub(field, 2)
    if (algorithm == '' or algorithm == kind) and (duration == 0 or text(duration) .. '' == length) then
      call('HDEL', name, field)
      if kind == 'm' then call('DEL', prefix .. 'l:' .. length .. ':' .. key) end
    end
  end
end

-- What nodes counted for themselves: added whether it fits or not, as it has been admitted already.

local function add_window(found, start, count)
  if start + 2 * found.duration <= now then return end
  local all, newest = { [start] = count }, start
  for from = 1, found.value and #found.value or 0, 16 do
    local began, its = unpack_('<dd', found.value, from)
    all[began] = (all[began] or 0) + its
    newest = math.max(newest, began)
  end
  local starts, value = {}, ''
  for began in pairs(all) do starts[#starts + 1] = began end
  table.sort(starts)
  for _, began in ipairs(starts) do value = value .. pack('<dd', began, all[began]) end
  call('HSET', found.name, found.field, sub(value, -16 * kept))
  lives(found.name, newest + 2 * found.duration - now)
end

local function pour(found, whole, part, limit)
  local mine, my_part = level(found, limit, found.duration)
  if part >= found.duration - my_part and my_part > 0 then
    whole, part = whole + 1, part - (found.duration - my_part)
  else
    part = part + my_part
  end
  found.whole, found.part, found.limit, found.dirty = mine + whole, part, limit, true
  if now > found.at then found.at = now end
  save(found)
end

local function add(key, algorithm, duration, first, second, third, fourth)
  local found = counter(key, algorithm, duration)
  if algorithm == 's' then
    add_window(found, first, second)
  elseif algorithm == 'm' then
    held(found, duration)
    if first > now - duration then append(found, first, second, duration) end
    save(found)
  else
    local carried = { whole = first, part = second, at = third, limit = fourth }
    local whole, part = level(carried, fourth, duration)
    if whole > 0 or part > 0 then pour(found, whole, part, fourth) end
  end
end

-- What a node knows was counted before the counts were lost: several may, so only what one knows above the
-- others is added.

local function raise(key, algorithm, duration, first, second, third, fourth)
  local name, field = prefix .. 'f:' .. key, algorithm .. text(duration)
  if algorithm == 's' then
    field = field .. '@' .. text(first)
    local before = tonumber(call('HGET', name, field) or 0)
    if second <= before then return end
    call('HSET', name, field, string.format('%.0f', second))
    lives(name, first + 2 * duration - now)
    add(key, algorithm, duration, first, second - before)
  elseif algorithm == 'm' then
    -- A log is told entry by entry, and nodes may know of the same takings at different moments: totals compare.
    if first <= now - duration then return end
    local mine = field .. '#' .. node .. ':' .. text(session)
    local so_far = tonumber(call('HGET', name, mine) or 0) + second
    local before = tonumber(call('HGET', name, field) or 0)
    call('HSET', name, mine, string.format('%.0f', so_far))
    lives(name, first + duration - now)
    if so_far <= before then return end
    call('HSET', name, field, string.format('%.0f', so_far))
    add(key, algorithm, duration, first, so_far - before)
  else
    local known, before = { whole = first, part = second, at = third, limit = fourth }, nil
    local value = call('HGET', name, field)
    local whole, part = level(known, fourth, duration)
    local base, base_part = 0, 0
    if value then
      before = {}
      before.whole, before.part, before.at, before.limit = unpack_('<dddd', value)
      base, base_part = level(before, before.limit, duration)
    end
    if whole < base or (whole == base and part <= base_part) then return end
    call('HSET', name, field, pack('<dddd', whole, part, now, fourth))
    lives(name, (whole + 1) * duration / fourth)
    whole, part = whole - base, part - base_part
    if part < 0 then whole, part = whole - 1, part + duration end
    pour(counter(key, algorithm, duration), whole, part, fourth)
  end
end

while at < #asked do
  at = at + 1
  local code = asked[at]
  if code == 0 then
    plain()
  elseif code > 0 then
    request(code)
  elseif code == -1 then -- as if it were then; 0 for now
    now = asked[at + 1]
    at = at + 1
    if now == 0 then now = clock end
  elseif code == -2 then -- whether to look only
    looks = asked[at + 1] == 1
    at = at + 1
  elseif code == -3 then -- how many windows are remembered, and for how much longer than they must be
    kept, grace_ms = asked[at + 1], asked[at + 2]
    at = at + 2
  elseif code == -4 then
    reset(asked[at + 1], asked[at + 2], asked[at + 3])
    at = at + 3
  elseif code == -5 or code == -6 then
    local give = code == -5 and add or raise
    give(asked[at + 1], asked[at + 2], asked[at + 3], asked[at + 4], asked[at + 5], asked[at + 6], asked[at + 7])
    at = at + 7
  end
end
return out
