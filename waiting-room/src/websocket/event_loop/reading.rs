//! Reading: frames that pages send, and the requests in them.

use fairline_update_policy::PageMessage;

use super::{AfterRead, BURST_BYTES_MAX, EventLoop, PageRequest, REQUESTS_PER_PAGE_MAX};
use crate::websocket::{
    frame::{self, Frame, FrameError},
    idle_connection::CloseReason,
};

impl EventLoop {
    /// Handles an event of a socket.
    pub(super) fn handle_event(&mut self, slot: usize, writable: bool) {
        let now_s = self.now_s();
        let mut scratch = std::mem::take(&mut self.scratch);
        let outcome = self.read_frames(slot, &mut scratch);
        self.scratch = scratch;
        self.finish(slot, outcome);
        if !writable {
            return;
        }
        let Some(connection) = self.sockets.get_mut(slot).filter(|connection| connection.is_blocked()) else { return };
        match connection.flush(now_s) {
            Err(_) => self.remove(slot),
            Ok(false) => {}
            Ok(true) if connection.tab.is_none() => connection.shut_down_writing(),
            // It receives the present state instead of what it missed.
            Ok(true) => self.update_page(slot),
        }
    }

    pub(super) fn finish(&mut self, slot: usize, outcome: AfterRead) {
        match outcome {
            AfterRead::Stays => {}
            AfterRead::Broken => self.remove(slot),
            AfterRead::Ends(end) => self.close(slot, end),
        }
    }

    /// Reads all available bytes.
    pub(super) fn read_frames(&mut self, slot: usize, scratch: &mut [u8]) -> AfterRead {
        let now_s = self.now_s();
        let Some(connection) = self.sockets.get_mut(slot) else { return AfterRead::Stays };
        let mut filled = connection.take_partial(scratch);
        let mut received = 0;
        loop {
            let Some(connection) = self.sockets.get_mut(slot) else { return AfterRead::Stays };
            let end = match connection.read(&mut scratch[filled..], now_s) {
                Ok(Some(length)) => filled + length,
                Ok(None) => break,
                Err(_) => return AfterRead::Broken,
            };
            received += end - filled;
            if connection.tab.is_none() {
                // After our close frame only the page's own is expected.
                connection.shut_down_writing();
                if received > BURST_BYTES_MAX {
                    return AfterRead::Broken;
                }
                filled = 0;
                continue;
            }
            let handled = match self.handle_frames(slot, &mut scratch[..end]) {
                Ok(handled) => handled,
                Err(outcome) => return outcome,
            };
            scratch.copy_within(handled..end, 0);
            filled = end - handled;
            // A short read has emptied the socket.
            if end < scratch.len() {
                break;
            }
            if received > BURST_BYTES_MAX {
                return AfterRead::Ends(CloseReason::Unsupported);
            }
        }
        if let Some(connection) = self.sockets.get_mut(slot) {
            connection.keep_partial(&scratch[..filled]);
        }
        AfterRead::Stays
    }

    /// Handles the complete frames at the beginning of `bytes`, and returns their length.
    pub(super) fn handle_frames(&mut self, slot: usize, bytes: &mut [u8]) -> Result<usize, AfterRead> {
        let mut handled = 0;
        loop {
            let (received, length) = match frame::read(&mut bytes[handled..]) {
                Ok(Some(read)) => read,
                Ok(None) => return Ok(handled),
                Err(FrameError::ProtocolError) => return Err(AfterRead::Ends(CloseReason::ProtocolError)),
                Err(FrameError::Unsupported) => return Err(AfterRead::Ends(CloseReason::Unsupported)),
            };
            handled += length;
            match received {
                Frame::Pong => {}
                Frame::Close => return Err(AfterRead::Ends(CloseReason::ClosedByPage)),
                Frame::Ping(payload) => {
                    self.out.clear();
                    frame::pong(payload, &mut self.out);
                    self.send(slot)?;
                }
                Frame::Text(text) => {
                    let message = serde_json::from_str(text).map_err(|_| AfterRead::Ends(CloseReason::Unsupported))?;
                    self.ask(slot, message)?;
                }
            }
        }
    }

    /// Passes a request to a task.
    pub(super) fn ask(&mut self, slot: usize, message: PageMessage) -> Result<(), AfterRead> {
        let Some(connection) = self.sockets.get_mut(slot) else { return Err(AfterRead::Stays) };
        let Some(tab) = &connection.tab else { return Err(AfterRead::Stays) };
        if connection.requests >= REQUESTS_PER_PAGE_MAX {
            return Err(AfterRead::Ends(CloseReason::Unsupported));
        }
        let Some(ticket) = tab.room.shoppers.ticket(tab.ordinal) else {
            return Err(AfterRead::Ends(CloseReason::GoingAway));
        };
        let request_worker =
            &self.request_workers[usize::try_from(tab.ordinal).unwrap_or_default() % self.request_workers.len()];
        let ask = PageRequest { slot, serial: connection.serial, ticket, message };
        request_worker.try_send(ask).map_err(|_| AfterRead::Ends(CloseReason::GoingAway))?;
        connection.requests += 1;
        Ok(())
    }
}
