-- What wrk sends: the requests of a file, in turn, each as it goes over the wire.
-- wrk ... -s load.lua URL -- FILE PLACEHOLDER PREFIX, where FILE holds "length\n" and so many
-- bytes, repeated. A request with the placeholder is sent with the prefix there, and eight digits
-- that count such requests. One thread sends for all connections, so no number comes twice.

local requests, last, prefix, serial = {}, 0, "", 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  prefix = arguments[3]
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    local wire = file:read(length)
    local first, final = wire:find(arguments[2], 1, true)
    requests[#requests + 1] = first and {wire:sub(1, first - 1), wire:sub(final + 1)} or wire
  end
  file:close()
end

function request()
  last = last % #requests + 1
  local wire = requests[last]
  if type(wire) == "string" then return wire end
  serial = serial + 1
  return wire[1] .. prefix .. string.format("%08x", serial) .. wire[2]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "bytes": %d, "p50_ms": %.3f, "p99_ms": %.3f, ' ..
    '"failed": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.status, e.connect + e.read + e.write + e.timeout))
end
