-- Sends requests with new ids and values each time. The plan comes before this file and sets wheel, forms, scatter, suffixes, ordinary.

local random, format, concat = math.random, string.format, table.concat

function init(args)
  math.randomseed(tonumber(args[1]))
end

local function id(n, suffix)
  return format("%08x", n * scatter % 4294967296) .. suffix
end

local variables = {
  function(n) return id(n % ordinary, client_suffix) end,
  function(n) return id(n, app_suffix) end,
  function() return random(100000, 999999) end,
  function(n)
    local ids = {}
    for i = 1, 100 do ids[i] = id(n + (i - 1) * ordinary, app_suffix) end
    return concat(ids, '","')
  end,
  function(n)
    local updates = {}
    for i = 1, 1000 do
      updates[i] = format('{"id":"%s","license_count":%d}', id(n % ordinary + (i - 1) * ordinary, app_suffix), random(100000, 999999))
    end
    return concat(updates, ',')
  end,
}

function request()
  local form = forms[wheel[random(#wheel)]]
  local n = random(0, form.apps - 1)
  local out = {}
  for i, piece in ipairs(form.pieces) do
    if type(piece) == "number" then out[i] = variables[piece](n) else out[i] = piece end
  end
  return concat(out)
end

function done(summary, latency)
  local e = summary.errors
  io.write(format("bench %d %d %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.status, e.connect, e.read, e.write, e.timeout))
end
