{"terms":{"total":2,"limit":1,"claim_window_s":8,"token_ttl_s":12,"hold_s":6,"rate_cap_per_s":10.0,"opens_after_ms":0,"draws":false},"accounts":false,"stops_often":false}
{"Open":[3,5]}
"QuietApart"
