-- What wrk sends and tells: one request a user, a thousand users in turns; at the end one line of JSON.
-- Arguments after `--`: METHOD PATH BODY, then headers as `name: value`. USER in the path and the body is the user.

local USERS = 1000
local requests, last = {}, 0

function init(args)
  local method, path, body, headers = args[1], args[2], args[3], {}
  for n = 4, #args do
    local name, value = args[n]:match("^(.-): (.*)$")
    headers[name] = value
  end
  for n = 1, USERS do
    local user = "user-" .. n
    requests[n] = wrk.format(method, (path:gsub("USER", user)), headers, body ~= "" and (body:gsub("USER", user)) or nil)
  end
end

function request()
  last = last % USERS + 1
  return requests[last]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
