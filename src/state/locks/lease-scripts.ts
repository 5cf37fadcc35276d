/**
 * The Lua scripts of leases. All leases of a service are in one hash without a TTL, so no `volatile-` eviction policy removes
 * them:
 *
 * - KEYS[1], a hash: by the name of the lease `token ends ttl fence period`, times in ms. The field `@fence` is the highest
 *   fence ever issued. It is never removed, so fences never decrease.
 * - KEYS[2], a sorted set: the same names by the time from which the field has no meaning. Every grant removes a few such
 *   fields.
 * - KEYS[3], a sorted set with a TTL: the tokens of the callers that wait for this lease, by their tickets.
 * - KEYS[4], a hash with a TTL: when each of these callers last asked.
 *
 * Times are those of Redis' clock, so the clocks of hosts do not matter. A lease that ends later than its TTL from now was
 * granted before Redis' clock was set back: it ends a TTL from now.
 */
const PRELUDE = `
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
local now = math.floor(us / 1000)
local name, mine = ARGV[1], ARGV[2]
local holder, ends, ttl, fence, last = string.match(redis.call('HGET', KEYS[1], name) or '', '^(%S+) (%d+) (%d+) (%d+) (%-?%d+)$')
ends, ttl, fence, last = tonumber(ends) or 0, tonumber(ttl) or 0, tonumber(fence) or 0, tonumber(last) or -1
local wasSetBack = ends > now + ttl
if wasSetBack then ends = now + ttl end
local function save(period)
  redis.call('HSET', KEYS[1], name, string.format('%s %.0f %.0f %.0f %.0f', holder, ends, ttl, fence, last))
  redis.call('ZADD', KEYS[2], string.format('%.0f', math.max(ends, last + period)), name)
end
local function remove(old)
  redis.call('HDEL', KEYS[1], old)
  redis.call('ZREM', KEYS[2], old)
end
local function leaveQueue(token)
  redis.call('ZREM', KEYS[3], token)
  redis.call('HDEL', KEYS[4], token)
end`

/** A waiter that has not asked for this time is dead or has given up, and is removed from the queue. */
const MAX_SILENCE_MS = 2000
/** A waiter's last question is recorded again when the record is older than this, so most questions write nothing. */
const RECORD_AGE_MS = 500
/** A period that began at most this far in the future comes from a Redis whose clock is slightly ahead, not from a clock set back. */
const CLOCK_TOLERANCE_MS = 1000

/**
 * Grants the lease when it is free, its period has had no run yet, and no other waiter is first. Asking again with the same token
 * renews the lease. ARGV: name, token, ttl, period or 0, and the ticket: absent for a caller that does not wait, 0 for a waiter
 * without one. Returns { fence, period }, or { 0, ms until asking again makes sense, ticket, most tickets that are ahead }.
 */
const TAKE = `${PRELUDE}
local period, ticket = tonumber(ARGV[4]), tonumber(ARGV[5])
if holder ~= mine then
  local left = ends - now
  local start = -1
  if wasSetBack then save(period) end
  if period > 0 then
    start = now - now % period
    if last > now + math.min(period, ${CLOCK_TOLERANCE_MS}) then
      last = start
      save(period)
    end
    if left > 0 then return {0, math.min(left, start + period - now)} end
    if last >= start then return {0, last + period - now} end
  end
  local head = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
  while head[1] and head[1] ~= mine and math.abs(now - (tonumber(redis.call('HGET', KEYS[4], head[1])) or 0)) > ${MAX_SILENCE_MS} do
    leaveQueue(head[1])
    head = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
  end
  if left > 0 or (head[1] and head[1] ~= mine) then
    local ahead = 0
    if ticket then
      if ticket == 0 then ticket = (tonumber(redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')[2]) or 0) + 1 end
      redis.call('ZADD', KEYS[3], 'NX', ticket, mine)
      if math.abs(now - (tonumber(redis.call('HGET', KEYS[4], mine)) or 0)) > ${RECORD_AGE_MS} then
        redis.call('HSET', KEYS[4], mine, string.format('%.0f', now))
        redis.call('PEXPIRE', KEYS[3], ${5 * MAX_SILENCE_MS})
        redis.call('PEXPIRE', KEYS[4], ${5 * MAX_SILENCE_MS})
      end
      ahead = math.max(ticket - (tonumber(head[2]) or ticket), 0)
    end
    return {0, left > 0 and left or ${MAX_SILENCE_MS}, ticket or 0, ahead}
  end
  if head[1] then leaveQueue(mine) end
  fence = math.max(us, (tonumber(redis.call('HGET', KEYS[1], '@fence')) or 0) + 1)
  redis.call('HSET', KEYS[1], '@fence', string.format('%.0f', fence))
  holder, last = mine, start
end
ttl = tonumber(ARGV[3])
ends = now + ttl
save(period)
for _, old in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, 10)) do remove(old) end
return {fence, last}`

/**
 * Renews the lease. Returns 1, or 0 when the lease is lost. A lease that has ended is lost even when no other caller took it: a
 * renewal that arrives late must not bring it back. ARGV: name, token, period or 0.
 */
const RENEW = `${PRELUDE}
if holder ~= mine or ends <= now then return 0 end
ends = now + ttl
save(tonumber(ARGV[3]))
return 1`

/** Frees the lease and gives up the place in the queue. ARGV: name, token, period or 0, 1 to forget the period too. */
const RELEASE = `${PRELUDE}
local period = tonumber(ARGV[3])
leaveQueue(mine)
if holder ~= mine then return 0 end
if ARGV[4] == '1' or last + period <= now then
  remove(name)
else
  holder, ends, ttl = '-', 0, 0
  save(period)
end
return 1`

/** Turns the lease into a record that the work is done. Returns 0 when another worker holds it. ARGV: name, token, TTL in ms. */
const DONE = `${PRELUDE}
if holder and holder ~= mine and ends > now then return holder == 'done' and 1 or 0 end
holder, ttl, last = 'done', tonumber(ARGV[3]), -1
ends = now + ttl
save(0)
return 1`

export const LEASE_SCRIPTS = {
  musterTake: TAKE,
  musterRenew: RENEW,
  musterRelease: RELEASE,
  musterDone: DONE
}
