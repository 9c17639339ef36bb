//! Calls for many rooms, at most one for each at a time. No room waits for another, so a silent
//! Redis shard delays only its own rooms.

use std::{
    collections::HashSet,
    future::{Future, pending},
};

use fairline_sale::SaleId;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};

/// The calls under way.
pub(crate) struct RoomCalls<'a, T> {
    calls: FuturesUnordered<BoxFuture<'a, (SaleId, T)>>,
    rooms: HashSet<SaleId>,
}

impl<T> Default for RoomCalls<'_, T> {
    fn default() -> Self {
        Self { calls: FuturesUnordered::new(), rooms: HashSet::new() }
    }
}

impl<'a, T> RoomCalls<'a, T> {
    /// Starts a call, unless one for this room is under way. [`Self::ended`] drives it.
    pub(crate) fn start(&mut self, room: SaleId, call: impl Future<Output = T> + Send + 'a) {
        if self.rooms.insert(room) {
            self.calls.push(call.map(move |result| (room, result)).boxed());
        }
    }

    /// Waits until a call ends; while none is under way, for ever.
    pub(crate) async fn ended(&mut self) -> (SaleId, T) {
        let Some((room, result)) = self.calls.next().await else { return pending().await };
        self.rooms.remove(&room);
        (room, result)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn silent_rooms_delay_no_other_and_have_one_call_each() {
        let room = |n| SaleId(Uuid::from_u128(n));
        let mut calls = RoomCalls::default();
        for round in 0..3 {
            for silent in 0..1000 {
                calls.start(room(silent), pending());
            }
            calls.start(room(1000), async move { round });
            assert_eq!(calls.ended().await, (room(1000), round));
            assert_eq!(calls.calls.len(), 1000);
        }
    }
}
