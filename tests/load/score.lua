-- Load for a service of your own, with wrk (apt-get install wrk):
--
--   wrk -t2 -c64 -d30s --latency -s tests/load/score.lua http://127.0.0.1:8000
--
-- Environment: BATCH messages a request (default 1), KEY an API key, CAMPAIGN=1 sends the same few texts again and again.
-- wrk asks in a closed loop: what it says of times flatters a service that is overloaded.

local texts = {
  "Your parcel is held at customs. Pay the fee of 1.99 today: post-redeliver.example/pay",
  "Running late, be home at seven. Shall I bring bread?",
  "Mum, I dropped my phone, this is my new number. Can you send me 480 until Friday?",
  "Ihr Konto wurde gesperrt. Bitte bestätigen Sie Ihre Daten: bank-sicher.example",
  "Votre code de connexion est 448213. Ne le communiquez à personne.",
  "Le informamos de que su cita es el martes a las 10:30. Responda SI para confirmar.",
  "国税退税通知:您有一笔退税待领取,请今天点击 refund.example 办理",
  "今天下班早点回家吃饭吧",
  "คุณได้รับรางวัล กรุณากดรับภายในวันนี้ที่ prize.example",
  "Подработка из дома, от 5000 в день, без опыта. Пишите менеджеру в чат.",
  "عزيزي العميل، تم إيقاف بطاقتك. حدّث بياناتك عبر الرابط card.example",
  "Half price on all winter shoes this weekend only, in every shop. Reply STOP to opt out.",
}
local batch = tonumber(os.getenv("BATCH") or "1")
local key = os.getenv("KEY")
local campaign = os.getenv("CAMPAIGN") == "1"
local threads, number = {}, 0

function setup(thread)
  thread:set("id", os.time() .. "." .. #threads + 1)
  table.insert(threads, thread)
end

function init()
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  if key then wrk.headers["Authorization"] = "Bearer " .. key end
  counts = {}
end

function request()
  local messages = {}
  for i = 1, batch do
    number = number + 1
    local text = texts[number % #texts + 1]
    -- Another number behind each text, so that the service's cache knows none of them.
    if not campaign then text = text .. " " .. id .. "." .. number end
    messages[i] = '{"id":"' .. i .. '","text":"' .. text .. '"}'
  end
  return wrk.format(nil, "/v1/score", nil, '{"messages":[' .. table.concat(messages, ",") .. "]}")
end

function response(status)
  counts[status] = (counts[status] or 0) + 1
end

function done(summary, latency)
  local all = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("counts")) do all[status] = (all[status] or 0) + count end
  end
  local seconds = summary.duration / 1e6
  for status, count in pairs(all) do
    print(string.format("status %d: %d answers, %.0f messages/s", status, count, count * batch / seconds))
  end
end
