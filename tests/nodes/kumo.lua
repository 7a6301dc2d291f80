-- A stand-in for KumoMTA: it calls the events of a policy as the server would, and prints what comes of each question.
-- A question is a line of sender's user name, sender and recipient, with tabs between them.

local handlers = {}
local rejected = {}

kumo = {
  on = function(name, handler)
    handlers[name] = handler
  end,
  reject = function(code, text)
    error(rejected)
  end,
  make_queue_config = function(params)
    return params
  end,
  make_egress_pool = function(params)
    return params
  end,
  make_egress_source = function(params)
    return params
  end,
  make_egress_path = function(params)
    return params
  end,
}

dofile(arg[1])

local function message(user, sender, recipient)
  local meta = { authn_id = user }
  return {
    get_meta = function(_, name)
      return meta[name]
    end,
    set_meta = function(_, name, value)
      meta[name] = value
    end,
    sender = function()
      return sender
    end,
    recipient = function()
      return recipient
    end,
    meta = meta,
  }
end

local function first(map)
  for key, value in pairs(map or {}) do
    return key, value
  end
  return '', ''
end

for line in io.lines() do
  local user, sender, recipient = line:match '^([^\t]*)\t([^\t]*)\t([^\t]*)$'
  local msg = message(user, sender, recipient)
  local accepted, problem = pcall(handlers.smtp_server_message_received, msg)
  if not accepted then
    if problem ~= rejected then
      error(problem)
    end
    print 'refused'
  else
    local domain = recipient:match('@(.*)$'):lower()
    local queue = handlers.get_queue_config(domain, msg.meta.tenant, msg.meta.campaign, nil)
    local answer = { 'draw' }
    for _, entry in ipairs(handlers.get_egress_pool(queue.egress_pool).entries) do
      local source = handlers.get_egress_source(entry.name)
      local path = handlers.get_egress_path_config(domain, entry.name, domain)
      if not path.suspended then
        local counter, connections = first(path.additional_connection_limits)
        local rate_counter, rate = first(path.additional_message_rate_throttles)
        table.insert(
          answer,
          table.concat({
            source.source_address,
            entry.weight,
            path.connection_limit,
            path.max_message_rate or '',
            counter ~= '' and counter or rate_counter,
            connections,
            rate,
          }, ',')
        )
      end
    end
    print(table.concat(answer, ' '))
  end
end
