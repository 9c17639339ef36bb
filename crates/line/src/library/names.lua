-- Made from crates/line/src/store/calls.rs by its test: arguments in their order, and replies.
-- In braces: a list and the fields of its records.
local ARGUMENTS = {
    join = { 'batch', 'visitors', 'accounts' },
    bind_account = { 'digest', 'ordinal', 'visitor' },
    resume = { { 'tickets', 'ordinal', 'visitor' } },
    leave = { 'ordinal' },
    claim = { 'ordinal' },
    find = { 'ordinal' },
    absent = { 'grace_ms', 'notify', { 'ordinals', 'ordinal' } },
    sweep = { 'max' },
    present = { 'epoch', 'node', 'up_for_ms', 'connected' },
    roll_call = { 'grace_ms', 'after' },
    upcoming = { 'cursor', 'wanted', 'reach', 'record_max', 'recorded', 'up_to', 'history_after' },
    home = {},
    delete_line = {},
    close_pool = {},
    store_draw = { 'epoch', 'offset', 'bytes' },
    publish = { 'publication', 'epoch', 'begins_in', 'above', 'cursor', 'granted', 'drawn', 'recall_ms', 'kept_ms', 'card', 'history_from', { 'handled_claims', 'ordinal', 'claim' }, { 'turns', 'ordinal', 'turn' } },
    republish_turns = { 'epoch', 'publication', 'turn', 'ordinals' },
    revision = {},
    snapshot = {},
    numbers = {},
}
local REPLIES = {
    join = { 'epoch', 'first', { 'places', 'at', 'ordinal', 'visitor' } },
    resume = { 'epoch', 'rev', 'turns' },
    upcoming = { 'epoch', 'home', 'highest', 'granted', 'cursor', 'drawn', 'waiting', 'absent', 'nodes', 'recalled', 'lags', { 'tickets', 'ordinal', 'visitor' }, { 'claims', 'ordinal', 'claim' }, { 'arrivals', 'first', 'visitors' }, { 'history', 'id', 'kind', 'ordinals', 'visitors' } },
    home = { 'run_id', 'epoch', 'granted' },
    revision = { 'epoch', 'rev' },
    snapshot = { 'epoch', 'rev', 'cursor', 'highest', 'card', 'departed', 'recalled', 'drawn' },
}

