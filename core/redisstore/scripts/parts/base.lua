-- base.lua stands before every script (see compose.go). A key is written as K and its name: when the
-- program starts, that becomes what all keys begin with and the ending in keys.go, so
-- that a call costs nothing for keys that it does not touch.
--
-- KEYS   [1] what all keys begin with: the hash tag and a colon
-- ARGV   [1] how many events the stream keeps
-- A record (K.task .. id) has these fields; record.lua tells how they stand in it:
--   st state · fn function · co codec · q queue · pr priority
--   ep epoch · cl claim id (kept by settle, dropped by release) · di dispatcher
--   at attempt · de deliveries · un unstarted vanished releases
--   pg progress: done, total and note, with tabs
--   sl 1 = started under this lease · wo worker · pn its principal · ca 1 = cancel asked for · cg its grace in ms, if its own
--   rt retries · rf, rl first and last wait of the back-off in ms · ro retry-on, with commas · ik hashed idempotency key
--   fk failure kind · ft failure type · ra retried as · tx expires, if ever · ts submitted · td due · tc claimed · tb started · tf finished

local KEY, ARGV = KEYS[1], ARGV -- a local is found faster than a global
local call = redis.call
local CHUNK = 512 -- unpack fails near 8,000 values
