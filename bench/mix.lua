-- One mix of requests for wrk, see bench/run. Environment: MIX, TOKEN, KEYS, ROLE_ID, SECRET_ID.
local mix = os.getenv("MIX")
local keys = tonumber(os.getenv("KEYS") or "10000")
local headers = {
  ["X-Vault-Token"] = os.getenv("TOKEN") or "", ["X-Vault-Request"] = "true",
  ["User-Agent"] = "rekey-bench", ["Content-Type"] = "application/json"}
local secret = '{"data":{"value":"' .. string.rep("0123456789abcdef", 16) .. '"}}'
local kilobyte = '{"plaintext":"' .. string.rep("QUJDREVGR0hJSktM", 86) .. '"}'
local batch_item = '{"plaintext":"' .. string.rep("QUJDREVGR0hJSktM", 86) .. '"},'
local batch = '{"batch_input":[' .. string.rep(batch_item, 99) .. batch_item:sub(1, -2) .. ']}'
local login = '{"role_id":"' .. (os.getenv("ROLE_ID") or "") .. '","secret_id":"' ..
  (os.getenv("SECRET_ID") or "") .. '"}'
local function any() return "/v1/secret/data/app/k" .. math.random(1, keys) end
local mixes = {
  fixed = function() return wrk.format("GET", "/", headers) end,
  read = function() return wrk.format("GET", any(), headers) end,
  write = function() return wrk.format("POST", any(), headers, secret) end,
  lookup = function() return wrk.format("GET", "/v1/auth/token/lookup-self", headers) end,
  create = function()
    return wrk.format("POST", "/v1/auth/token/create", headers, '{"ttl":"1h","no_parent":false}')
  end,
  list = function()
    local after = "k" .. math.random(10, 89) -- always followed by 100 more
    return wrk.format("GET", "/v1/secret/metadata/app?list=true&limit=100&after=" .. after, headers)
  end,
  login = function() return wrk.format("POST", "/v1/auth/approle/login", headers, login) end,
  encrypt = function()
    return wrk.format("POST", "/v1/transit/encrypt/bench", headers, kilobyte)
  end,
  batch = function() return wrk.format("POST", "/v1/transit/encrypt/bench", headers, batch) end,
}
math.randomseed(tonumber(os.getenv("SEED") or "1"))
request = mixes[mix]
done = function(summary, latency, _)
  local e = summary.errors
  io.write(string.format("RESULT %.0f %d %d %d %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50), latency:percentile(99),
    e.status + e.connect + e.read + e.write + e.timeout, summary.requests))
end
