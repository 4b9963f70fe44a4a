"""The Lua scripts of the Redis engine; the server runs each atomically.

A commit writes a receipt, under its mark. A client that did not get the answer asks for the receipt (`SETTLE`). Where
there is none, `SETTLE` writes a receipt that withdraws the commit: if it arrives later, it finds that and does nothing.
"""

from broker.storage.changes import FEED_LENGTH
from broker.storage.engine import Write

# Seconds that a receipt is stored; and that the withdrawal of a commit is, which may still arrive in that time.
_RECEIPT_SECONDS = 60
_WITHDRAWN_SECONDS = 3600

# KEYS: revision, keys, expiry, receipt, changes, then each write's value. ARGV: the expected revision or "", the mark,
# the keys packed for the feed of changes or "", then for each write its key, its expiry (milliseconds, "" for none,
# "deleted") and its value. Answers {committed, revision}.
COMMIT = f"""
local revision = redis.call('GET', KEYS[1]) or '0'
local receipt = redis.call('GET', KEYS[4])
if receipt and receipt ~= 'withdrawn' then
  return {{1, receipt}}
end
if receipt or ARGV[1] ~= '' and ARGV[1] ~= revision then
  return {{0, revision}}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
for i = 6, #KEYS do
  local at = 4 + (i - 6) * 3
  local key, expiry, value = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if expiry == 'deleted' then
    redis.call('DEL', KEYS[i])
    redis.call('ZREM', KEYS[2], key)
    redis.call('ZREM', KEYS[3], key)
  else
    redis.call('SET', KEYS[i], value)
    redis.call('ZADD', KEYS[2], 0, key)
    if expiry == '' then
      redis.call('ZREM', KEYS[3], key)
    else
      redis.call('PEXPIREAT', KEYS[i], expiry)
      redis.call('ZADD', KEYS[3], expiry, key)
    end
  end
end
revision = string.format('%d:%s', string.match(revision, '^%d+') + 1, ARGV[2])
redis.call('SET', KEYS[1], revision)
if ARGV[3] ~= '' then
  redis.call('RPUSH', KEYS[5], revision .. ' ' .. ARGV[3])
  redis.call('LTRIM', KEYS[5], -{FEED_LENGTH}, -1)
end
redis.call('SET', KEYS[4], revision, 'EX', {_RECEIPT_SECONDS})
return {{1, revision}}
"""


def expiry_argument(write: Write) -> bytes | int | str:
    """What `COMMIT` is told of when a record expires."""
    if write.value is None:
        return b"deleted"
    return "" if write.expires_at is None else max(1, int(write.expires_at * 1000))


# KEYS: receipt. Answers the revision that the commit has made, or "withdrawn": then it will never be applied. It
# writes in each case, so that `WAIT` has something to wait for.
SETTLE = f"""
local revision = redis.call('GET', KEYS[1])
if not revision then
  revision = 'withdrawn'
  redis.call('SET', KEYS[1], revision, 'EX', {_WITHDRAWN_SECONDS})
else
  redis.call('EXPIRE', KEYS[1], revision == 'withdrawn' and {_WITHDRAWN_SECONDS} or {_RECEIPT_SECONDS})
end
return revision
"""
WITHDRAWN = b"withdrawn"

# KEYS: revision, keys. ARGV: how the names of value keys begin (they are in the slot of KEYS), lowest, highest, how
# many. Answers the revision, then each key in between and its value. Keys of expired values stay in the index until a
# commit.
PAGE = """
local found = {redis.call('GET', KEYS[1]) or '0'}
local lowest, missing = ARGV[2], tonumber(ARGV[4])
while missing > 0 do
  local wanted = math.min(missing, 500)
  local keys = redis.call('ZRANGE', KEYS[2], lowest, ARGV[3], 'BYLEX', 'LIMIT', 0, wanted)
  if #keys == 0 then
    break
  end
  local names = {}
  for i, key in ipairs(keys) do
    names[i] = ARGV[1] .. key
  end
  for i, value in ipairs(redis.call('MGET', unpack(names))) do
    if value then
      found[#found + 1] = keys[i]
      found[#found + 1] = value
      missing = missing - 1
    end
  end
  if #keys < wanted then
    break
  end
  lowest = '(' .. keys[#keys]
end
return found
"""


# KEYS: revision, changes. ARGV: the number of a revision. Answers the revision, then the entries of the feed from that
# number on, if all commits since have left theirs.
CHANGES = f"""
local revision = redis.call('GET', KEYS[1]) or '0'
local wanted = string.match(revision, '^%d+') - ARGV[1] + 1
if wanted < 1 or wanted > {FEED_LENGTH} then
  return {{revision}}
end
local found = redis.call('LRANGE', KEYS[2], -wanted, -1)
table.insert(found, 1, revision)
return found
"""

# KEYS: the names of partitions. ARGV: one of them.
LIST_PARTITION = "return redis.call('ZADD', KEYS[1], 0, ARGV[1])"

# KEYS: revision. It is written again as it is, for replicas alone, not for the disk: whoever waits until they have it
# knows that they have everything before it. Answers 0 where there is none. Another key may be on another master while
# the slot moves.
BARRIER = """
local revision = redis.call('GET', KEYS[1])
if not revision then
  return 0
end
redis.set_repl(redis.REPL_REPLICA)
redis.call('SET', KEYS[1], revision)
return 1
"""

# KEYS: any key; it selects the node of a cluster.
TIME = "return redis.call('TIME')"
