-- What wrk sends and tells: one request a user, a thousand users in turns; at the end one line of JSON.
-- Arguments after `--`: METHOD PATH BODY, then headers as `name: value`. USER in the path and the body is the user;
-- NEW is a user that nobody has asked for before.

local USERS = 1000
local requests, last = {}, 0
local fresh, started

function init(args)
  local method, path, body, headers = args[1], args[2], args[3], {}
  for n = 4, #args do
    local name, value = args[n]:match("^(.-): (.*)$")
    headers[name] = value
  end
  local function made(word, user)
    return wrk.format(method, (path:gsub(word, user)), headers, body ~= "" and (body:gsub(word, user)) or nil)
  end
  if path:find("NEW") or body:find("NEW") then
    started = tostring({}):match("%x+$") .. os.time()
    fresh = function(n) return made("NEW", "user-" .. started .. "-" .. n) end
  else
    for n = 1, USERS do requests[n] = made("USER", "user-" .. n) end
  end
end

function request()
  if fresh then
    last = last + 1
    return fresh(last)
  end
  last = last % USERS + 1
  return requests[last]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
