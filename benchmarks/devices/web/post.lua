-- wrk: one reading again and again; at the end one JSON object (latencies in us).
wrk.method = "POST"
wrk.body = '{"celsius":31.5,"place":"hall 7, rack 12, shelf 3, left of the door, second probe from above"}'
wrk.headers["Content-Type"] = "application/json"

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format(
    '{"requests":%d,"seconds":%.6f,"p50":%d,"p99":%d,"failed":%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), failed))
end
