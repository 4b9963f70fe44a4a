-- Asks the broker whether a request may pass; haproxy.cfg acts on txn.broker_status (0: the broker was not reached).
-- Needs HAProxy 2.5, for core.httpclient().

local NAMES = {
  ["x-broker-arn"] = "txn.broker_arn",
  ["x-broker-account"] = "txn.broker_account",
  ["x-broker-user-id"] = "txn.broker_user_id",
  ["x-broker-cookie"] = "txn.broker_cookie",
  ["x-broker-decision-id"] = "txn.broker_decision",
  ["www-authenticate"] = "txn.broker_challenge",
}
-- Of the connection, or set below: a client's own would be read as the proxy's.
local DROPPED = {
  ["connection"] = true, ["content-length"] = true, ["transfer-encoding"] = true, ["host"] = true,
  ["x-original-method"] = true, ["x-original-uri"] = true, ["x-original-host"] = true,
  ["x-forwarded-for"] = true, ["x-forwarded-proto"] = true, ["expect"] = true,
}

local function original_headers(txn)
  local headers = {}
  for name, values in pairs(txn.http:req_get_headers()) do
    if not DROPPED[name] then
      headers[name] = {}
      for index = 0, #values do
        if values[index] ~= nil then table.insert(headers[name], values[index]) end
      end
    end
  end
  local host = txn.sf:req_fhdr("host")
  headers["x-original-method"] = { txn.sf:method() }
  headers["x-original-uri"] = { txn.sf:pathq() }
  headers["x-original-host"] = { host }
  headers["host"] = { host }
  headers["x-forwarded-for"] = { txn.sf:src() }
  headers["x-forwarded-proto"] = { txn.f:ssl_fc() == 1 and "https" or "http" }
  return headers
end

core.register_action("ask_broker", { "http-req" }, function(txn, broker)
  txn:set_var("txn.broker_status", 0)
  for _, variable in pairs(NAMES) do txn:unset_var(variable) end
  local body = txn.sf:req_body()
  local answer = core.httpclient():post{
    url = broker .. "/forward/x-original",
    headers = original_headers(txn),
    body = (body ~= nil and body ~= "") and body or nil,
    timeout = 5000,
  }
  if answer == nil or answer.status == nil then return end
  for name, values in pairs(answer.headers or {}) do
    local value = values[0] or values[1]
    if NAMES[name] and value ~= nil and value ~= "" then txn:set_var(NAMES[name], value) end
  end
  txn:set_var("txn.broker_status", answer.status)
end, 1)
