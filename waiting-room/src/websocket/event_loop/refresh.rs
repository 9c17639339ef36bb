//! Refreshing: turns changes of a room into the messages that its pages lack.

use std::{ops::Bound, sync::Arc};

use fairline_line::{change::Turn, places::Place, ticket::Ordinal};
use fairline_sale::SaleId;
use fairline_update_policy::{Inputs, LineMessage};

use super::{BATCH, EventLoop, FRONT, Recipients, TICK, TICKS_A_ROUND};
use crate::{
    line::{room::RoomSnapshot, wait_metrics, wake_up::Pending},
    websocket::{
        frame,
        idle_connection::{CloseReason, KeepAlive},
    },
};

impl EventLoop {
    /// Refreshes the rooms that have changed.
    pub(super) fn handle_wake_ups(&mut self) {
        let notes = self.rooms.iter().map(|(sale, room_sockets)| (*sale, room_sockets.room.wake_up.take()));
        let rung: Vec<_> = notes.filter(|(_, note)| *note != Pending::default()).collect();
        for (sale, Pending { news, moved, turns, any_turn }) in rung {
            let has_turn = self.mark_turns(sale, turns);
            if any_turn {
                self.sockets.values_mut().for_each(|connection| connection.has_turn = true);
            }
            if news || any_turn {
                self.refresh(sale, Recipients::All);
            } else {
                has_turn.into_iter().for_each(|slot| self.update_page(slot));
            }
            let Some(room_sockets) = self.rooms.get_mut(&sale) else { continue };
            room_sockets.moved |= moved && !news;
            if room_sockets.moved && self.now >= room_sockets.front_at + TICK {
                self.refresh(sale, Recipients::Front);
            }
        }
    }

    /// Marks the sockets of tickets whose turns have changed, so that their turns are looked up.
    pub(super) fn mark_turns(&mut self, sale: SaleId, ordinals: impl IntoIterator<Item = Ordinal>) -> Vec<usize> {
        let Some(room_sockets) = self.rooms.get(&sale) else { return Vec::new() };
        let here = |ordinal| room_sockets.sockets.range((ordinal, 0)..=(ordinal, usize::MAX)).map(|(_, slot)| *slot);
        let slots: Vec<usize> = ordinals.into_iter().flat_map(here).collect();
        for slot in &slots {
            if let Some(connection) = self.sockets.get_mut(*slot) {
                connection.has_turn = true;
            }
        }
        slots
    }

    /// Refreshes sockets near the front of lines that have moved, and this tick's share of all.
    pub(super) fn tick(&mut self) {
        self.renew_heartbeat();
        let sales: Vec<SaleId> = self.rooms.keys().copied().collect();
        for sale in sales {
            if self.rooms.get(&sale).is_some_and(|room_sockets| room_sockets.moved) {
                self.refresh(sale, Recipients::Front);
            }
            self.refresh(sale, Recipients::Share);
        }
    }

    /// Takes a snapshot of a room and sends these sockets the messages that they lack.
    pub(super) fn refresh(&mut self, sale: SaleId, recipients: Recipients) {
        let Some(room_sockets) = self.rooms.get_mut(&sale) else { return };
        let room = room_sockets.room.clone();
        let (mut after, mut left) = ((0, 0), usize::MAX);
        match recipients {
            Recipients::All => {}
            Recipients::Front => (room_sockets.moved, room_sockets.front_at) = (false, self.now),
            Recipients::Share => {
                (after, left) = (room_sockets.refreshed_up_to, room_sockets.sockets.len().div_ceil(TICKS_A_ROUND))
            }
        }
        let (mut batch, mut places) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.places));
        'refresh: while left > 0 {
            let Some(room_sockets) = self.rooms.get(&sale) else { break };
            let beyond = (Bound::Excluded(after), Bound::Unbounded);
            batch.clear();
            batch.extend(room_sockets.sockets.range(beyond).take(left.min(BATCH)));
            let Some(last) = batch.last() else {
                after = (0, 0);
                break;
            };
            (after, left) = (*last, left - batch.len());
            let snapshot = room.snapshot(batch.iter().map(|(ordinal, _)| *ordinal), &mut places);
            for (&(_, slot), &place) in batch.iter().zip(&places) {
                match recipients {
                    Recipients::Front if place.is_some_and(|place| place.ahead >= FRONT) => break 'refresh,
                    Recipients::Share if !self.keep_alive(slot) => continue,
                    _ => self.send_updates(slot, &snapshot, place),
                }
            }
        }
        (self.batch, self.places) = (batch, places);
        if let (Recipients::Share, Some(room_sockets)) = (recipients, self.rooms.get_mut(&sale)) {
            room_sockets.refreshed_up_to = after;
        }
    }

    /// Sends a quiet socket a heartbeat or a ping, and removes a dead one. Returns whether it is
    /// kept.
    pub(super) fn keep_alive(&mut self, slot: usize) -> bool {
        let now_s = self.now_s();
        let Some(connection) = self.sockets.get_mut(slot) else { return false };
        match connection.keep_alive(now_s) {
            KeepAlive::Nothing => return true,
            KeepAlive::Heartbeat => {
                self.stats.bytes += self.heartbeat.len() as u64;
                if connection.send_heartbeat(&self.heartbeat, now_s).is_ok() {
                    return true;
                }
            }
            KeepAlive::Ping => {
                self.out.clear();
                frame::ping(&mut self.out);
                self.out.extend_from_slice(&self.heartbeat);
                if self.send(slot).is_ok() {
                    return true;
                }
            }
            KeepAlive::Dead => {}
        }
        self.remove(slot);
        false
    }

    /// Sends one page the messages that it lacks.
    pub(super) fn update_page(&mut self, slot: usize) {
        let Some(tab) = self.sockets.get(slot).and_then(|connection| connection.tab.as_ref()) else { return };
        let mut places = std::mem::take(&mut self.places);
        let snapshot = tab.room.snapshot([tab.ordinal], &mut places);
        let place = places.pop().flatten();
        self.places = places;
        self.send_updates(slot, &snapshot, place);
    }

    /// Sends one page the messages that it lacks, from a snapshot of its room.
    pub(super) fn send_updates(&mut self, slot: usize, snapshot: &RoomSnapshot, place: Option<Place>) {
        let Some(connection) = self.sockets.get_mut(slot).filter(|connection| !connection.is_blocked()) else { return };
        let Some(tab) = &connection.tab else { return };
        let turn = if connection.has_turn { tab.room.shoppers.turn(tab.ordinal) } else { Turn::Waiting };
        connection.has_turn = turn != Turn::Waiting;
        let facts = Inputs {
            ordinal: tab.ordinal,
            card: &snapshot.card,
            news: snapshot.news,
            line_reachable: snapshot.line_reachable,
            turn: &turn,
            place,
            in_draw: snapshot.in_draw,
            forecast: snapshot.forecast,
            now: self.now,
        };
        self.out.clear();
        while let Some(message) = connection.sent.next(&facts) {
            *self.stats.messages.entry(message.kind()).or_default() += 1;
            let out = &mut self.out;
            match (&message, &self.sale_frame) {
                (LineMessage::Sale { .. }, Some((card, frame))) if Arc::ptr_eq(card, &snapshot.card) => {
                    out.extend_from_slice(frame);
                }
                _ => {
                    self.json.clear();
                    serde_json::to_writer(&mut self.json, &message).expect("messages are strings, numbers and dates");
                    let start = out.len();
                    frame::text(&self.json, out);
                    if matches!(message, LineMessage::Sale { .. }) {
                        self.sale_frame = Some((snapshot.card.clone(), out[start..].to_vec()));
                    }
                }
            }
        }
        if let Some(waited) = connection.sent.take_ended_wait(self.now) {
            wait_metrics::record(waited);
        }
        let over = connection.sent.over();
        if over {
            CloseReason::Over.write(&mut self.out);
        }
        if self.out.is_empty() {
            return;
        }
        match self.send(slot) {
            Ok(()) if over => self.await_close(slot),
            Ok(()) => {}
            Err(_) => self.remove(slot),
        }
    }
}
