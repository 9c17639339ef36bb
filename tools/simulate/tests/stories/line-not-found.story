{"terms":{"total":6,"limit":1,"claim_window_s":8,"token_ttl_s":12,"hold_s":6,"opens_after_ms":0,"draws":false},"accounts":false,"stops_often":false}
{"Open":[2,7]}
"QuietApart"
