-- What follows the data in sluice.lua. Load it from init.lua: `local sluice = require 'sluice'`, and leave the five events
-- below to it. Clients must be authenticated as `organization/server`.

local sluice = { data = data }

-- connection_limit where the limit is 0, unlimited.
local UNLIMITED = 1000

-- The value for a domain: its own, else that of its nearest parent, else the default.
function sluice.look_up(flat, domain)
  local found = flat.exact[domain]
  if found ~= nil then
    return found
  end
  local parent = domain:match '%.(.*)$'
  while parent do
    found = flat.below[parent]
    if found ~= nil then
      return found
    end
    parent = parent:match '%.(.*)$'
  end
  return flat.default
end

local function domain_of(address)
  return (address:match '@([^@]*)$' or ''):lower()
end

-- An address as conditions of pool rules are written: lower case, without its +tag.
local function plain(address)
  local name = address:match '^(.*)@[^@]*$' or ''
  return name:match('^[^+]*'):lower() .. '@' .. domain_of(address)
end

local function matches(conditions, address)
  if #conditions == 0 then
    return true
  end
  local whole, domain = plain(address), domain_of(address)
  for _, each in ipairs(conditions) do
    if each == whole or each == domain then
      return true
    end
  end
  return false
end

-- The pool that mail of a tenant leaves by; nil and a sentence where it is refused.
function sluice.pool_of(name, sender, recipient)
  local tenant = data.tenants[name]
  if tenant == nil then
    return nil, 'This server may not send from here'
  end
  if tenant.refuse then
    return nil, tenant.refuse
  end
  for _, rule in ipairs(data.rules[tenant.rules] or {}) do
    if matches(rule.from, sender) and matches(rule.to, recipient) then
      return rule.pool
    end
  end
  if tenant.pool == nil then
    return nil, 'This server has no IP pool for this mail'
  end
  return tenant.pool
end

-- The entries of a draw: paused ones leave it; those of weight 0 take part only where there are no others.
local function entries_of(draw)
  local weighted, spare = {}, {}
  for _, entry in ipairs(data.draws[draw] or {}) do
    local source, weight, unless = entry[1], entry[2], entry[3]
    local is_paused = data.paused[source]
    for _, other in ipairs(unless) do
      is_paused = is_paused or data.paused[other]
    end
    if not is_paused then
      if weight > 0 then
        table.insert(weighted, { name = source, weight = weight })
      else
        table.insert(spare, { name = source, weight = 1 })
      end
    end
  end
  return #weighted > 0 and weighted or spare
end

kumo.on('smtp_server_message_received', function(msg)
  local name = msg:get_meta 'authn_id'
  local pool, refusal = sluice.pool_of(name, tostring(msg:sender()), tostring(msg:recipient()))
  if pool == nil then
    kumo.reject(550, refusal)
  end
  if data.deferred[name] then
    kumo.reject(450, data.deferred[name])
  end
  msg:set_meta('tenant', name)
  -- The pool is part of the queue's name, as its campaign.
  msg:set_meta('campaign', pool)
end)

kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  local pool = data.pools[campaign]
  -- What was accepted before waits as well.
  if pool == nil or data.deferred[tenant] then
    return kumo.make_queue_config { egress_pool = 'sluice-wait' }
  end
  local draw = sluice.look_up(pool, domain)
  -- The draw waits where none of its sources is usable here just now.
  return kumo.make_queue_config { egress_pool = #entries_of(draw) > 0 and draw or 'sluice-wait' }
end)

kumo.on('get_egress_pool', function(name)
  if name == 'sluice-wait' then
    return kumo.make_egress_pool { name = name, entries = { { name = name, weight = 1 } } }
  end
  return kumo.make_egress_pool { name = name, entries = entries_of(name) }
end)

kumo.on('get_egress_source', function(name)
  local source = data.sources[name]
  if source == nil then
    return kumo.make_egress_source { name = name }
  end
  return kumo.make_egress_source { name = name, source_address = source.ip, ehlo_domain = source.helo }
end)

kumo.on('get_egress_path_config', function(domain, name, site_name)
  local source = data.sources[name]
  if source == nil or data.paused[name] then
    return kumo.make_egress_path { suspended = true }
  end
  local limit = data.limit[sluice.look_up(data.limits[source.limits], domain) + 1]
  local path = {
    connection_limit = limit.connections > 0 and limit.connections or UNLIMITED,
    max_deliveries_per_connection = 100,
  }
  if limit.per_hour > 0 then
    path.max_message_rate = string.format('%d/h', limit.per_hour)
  end
  if limit.rule > 0 then
    -- One counter for all domains of the rule on this address.
    local counter = string.format('%s-r%d', name, limit.rule)
    if limit.connections > 0 then
      path.additional_connection_limits = { [counter] = limit.connections }
    end
    if limit.per_hour > 0 then
      path.additional_message_rate_throttles = { [counter] = string.format('%d/h', limit.per_hour) }
    end
  end
  return kumo.make_egress_path(path)
end)

return sluice
