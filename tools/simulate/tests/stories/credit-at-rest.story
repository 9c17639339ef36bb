{"terms":{"total":6,"limit":1,"claim_window_s":2,"token_ttl_s":12,"hold_s":6,"rate_cap_per_s":2.0,"opens_after_ms":0,"draws":false},"accounts":false,"stops_often":true}
{"Calm":10112}
{"Join":[2,[6,9]]}
"Quiet"
