-- Asks Latchwork whether a request may pass. Sets txn.latchwork_passed when it may, and only then.
-- (HAProxy's own HTTP client would repeat a question that is not answered in time, and so spend twice.)

local TIMEOUT_S = 2
local SENT = { "authorization", "x-api-key" }
local TOLD = {
  "x-latchwork-key-id", "x-latchwork-key-name", "x-latchwork-identity-id", "x-latchwork-external-id",
  "x-latchwork-permissions", "x-latchwork-roles", "x-latchwork-remaining",
}
local HANDED_ON = {
  "content-type", "www-authenticate", "retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset",
}
local REFUSALS = { [401] = true, [403] = true, [429] = true }

local function question(txn)
  local lines = {
    "GET " .. txn:get_var("txn.latchwork_question") .. " HTTP/1.1",
    "host: latchwork",
    "connection: close",
    "x-forwarded-for: " .. txn.sf:src(),
    "x-forward-auth-token: " .. txn:get_var("txn.latchwork_token"),
  }
  local headers = txn.http:req_get_headers()
  for _, name in ipairs(SENT) do
    local values = headers[name]
    local at = 0 -- where HAProxy begins to count
    while values ~= nil and values[at] ~= nil do
      lines[#lines + 1] = name .. ": " .. values[at]
      at = at + 1
    end
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function read_answer(connection)
  local answer = { headers = {}, body = "" }
  answer.status = tonumber(connection:receive("*l"):match("^HTTP/1%.1 (%d%d%d)"))
  local line = connection:receive("*l")
  while line:match("%S") do
    local name, value = line:match("^([^:]+):%s*(.-)%s*$")
    answer.headers[name:lower()] = value
    line = connection:receive("*l")
  end
  local length = tonumber(answer.headers["content-length"])
  if length > 0 then answer.body = connection:receive(length) end
  return answer
end

local function ask(txn)
  local connection = core.tcp()
  connection:settimeout(TIMEOUT_S)
  assert(connection:connect(txn:get_var("txn.latchwork_host"), tonumber(txn:get_var("txn.latchwork_port"))))
  assert(connection:send(question(txn)))
  local answer = read_answer(connection)
  connection:close()
  return answer
end

local function refuse(txn, answer)
  local reply = txn:reply({ status = 503 })
  if answer ~= nil and REFUSALS[answer.status] then
    reply:set_status(answer.status)
    for _, name in ipairs(HANDED_ON) do
      if answer.headers[name] ~= nil then reply:add_header(name, answer.headers[name]) end
    end
    reply:set_body(answer.body)
  end
  txn:done(reply)
end

core.register_action("latchwork", { "http-req" }, function(txn)
  local answered, answer = pcall(ask, txn)
  if not answered then
    core.Warning("Latchwork did not answer: " .. tostring(answer))
    refuse(txn, nil)
  elseif answer.status ~= 200 then
    refuse(txn, answer)
  else
    for _, name in ipairs(TOLD) do
      txn.http:req_set_header(name, answer.headers[name] or "")
    end
    txn:set_var("txn.latchwork_passed", true)
  end
end, 0)
