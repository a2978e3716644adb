-- Counts the answers by status, and prints them as JSON when the time is up, or after SIGINT.
-- "lost" are the requests without an answer. Those of wrk's own timeout are not among them: it
-- counts one when its answer comes late, and that answer is counted here. What still waits at the
-- end is counted nowhere, so whoever counts keeps the load for longer than the server may take.
-- With `-- 20` after the URL, each connection waits 20 ms before it asks again.
local threads = {}
ok, other = 0, 0

function setup(thread)
    table.insert(threads, thread)
end

function init(args)
    local pause = tonumber(args[1])
    if pause then
        function delay() return pause end
    end
end

function response(status)
    if status == 200 then ok = ok + 1 else other = other + 1 end
end

function done(summary)
    local answered, refused = 0, 0
    for _, thread in ipairs(threads) do
        answered = answered + thread:get("ok")
        refused = refused + thread:get("other")
    end
    local errors = summary.errors
    local lost = errors.connect + errors.read + errors.write
    io.write(string.format('{"ok": %d, "other": %d, "lost": %d, "seconds": %.6f}\n',
        answered, refused, lost, summary.duration / 1e6))
end
