-- Inferences over gRPC whose shapes end a model's process: Triton 2.51 multiplies what it is told. A dimension below 1,
-- or a product beyond any message, is refused here: INVALID_ARGUMENT. Over HTTP each server's front does the same.
--
-- It reads the fields of a ModelInferRequest as far as the shapes go, and steps over the tensors.

local METHOD = "/inference.GRPCInferenceService/ModelInfer"
local MOST = 2 ^ 31 -- elements of a tensor; a request has at most 64 MiB
local FIELDS = 10000 -- of one message, so that nobody keeps the gateway busy
local WINDOW = 4096 -- bytes that are looked at together
local INPUTS, SHAPE = 5, 3 -- numbers of fields
local VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

local UNREADABLE = "the message is no ModelInferRequest"

-- A function from a position (from 0) to the byte there.
local function reader(body, length)
  local window, from = "", 0
  return function(at)
    if at < from or at >= from + #window then
      from, window = at, body:getBytes(at, math.min(WINDOW, length - at))
    end
    return string.byte(window, at - from + 1)
  end
end

-- The number at a position, and the position behind it; nil where there is none.
local function varint(byte, at, stop)
  local value, scale = 0, 1
  for _ = 1, 10 do
    if at >= stop then return nil end
    local part = byte(at)
    value, scale, at = value + (part % 128) * scale, scale * 128, at + 1
    if part < 128 then return value, at end
  end
  return nil
end

-- Calls visit(number, kind, start, stop) with each field of a message, a varint's number in place of its start;
-- returns what is wrong with the message, or nil.
local function each_field(byte, at, stop, budget, visit)
  while at < stop do
    budget.fields = budget.fields - 1
    if budget.fields < 0 then return "the message has too many fields" end
    local tag, value
    tag, at = varint(byte, at, stop)
    if tag == nil then return UNREADABLE end
    local number, kind = math.floor(tag / 8), tag % 8
    local behind
    if kind == VARINT then
      value, behind = varint(byte, at, stop)
      if value == nil then return UNREADABLE end
    elseif kind == BYTES then
      local size
      size, value = varint(byte, at, stop)
      if size == nil then return UNREADABLE end
      behind = value + size
    elseif kind == FIXED64 or kind == FIXED32 then
      value, behind = at, at + (kind == FIXED64 and 8 or 4)
    else
      return UNREADABLE
    end
    if behind > stop then return UNREADABLE end
    local wrong = visit(number, kind, value, behind)
    if wrong then return wrong end
    at = behind
  end
end

-- What is wrong with a tensor's shape, or nil.
local function wrong_shape(byte, start, stop, budget)
  local elements = 1
  local function dimension(size)
    elements = elements * size
    if size < 1 or elements > MOST then -- a negative one is read as 2^63 and more
      return "a shape has a dimension below 1, or more elements than a request can hold"
    end
  end
  return each_field(byte, start, stop, budget, function(number, kind, at, behind)
    if number ~= SHAPE then return nil end
    if kind == VARINT then return dimension(at) end
    while kind == BYTES and at < behind do
      local size
      size, at = varint(byte, at, behind)
      local wrong = size == nil and UNREADABLE or dimension(size)
      if wrong then return wrong end
    end
  end)
end

-- What is wrong with the body of a call, and its status; nil where nothing is.
local function wrong_call(body)
  local length = body:length()
  if length < 5 then return nil end -- Triton says so
  local byte = reader(body, length)
  if byte(0) ~= 0 then return "a compressed message is not taken; send it as it is", "12" end
  local budget = { fields = FIELDS }
  local wrong = each_field(byte, 5, length, budget, function(number, kind, start, stop)
    if number == INPUTS and kind == BYTES then return wrong_shape(byte, start, stop, budget) end
  end)
  return wrong, "3"
end

function envoy_on_request(handle)
  if handle:headers():get(":path") ~= METHOD then return end
  local body = handle:body()
  if body == nil then return end
  local wrong, status = wrong_call(body)
  if wrong then
    local headers = { [":status"] = "200", ["content-type"] = "application/grpc" }
    headers["grpc-status"], headers["grpc-message"] = status, wrong
    handle:respond(headers, "")
  end
end
