//! A post office in memory, for the demo and for tests: it takes letters over SMTP (RFC 5321) and messages to phones over Twilio's API, shows
//! them to anybody, delivers none, and misbehaves on request. What it does wrong is chosen by whom a letter is for:
//!
//! | address begins with | what happens |
//! |---|---|
//! | `busy` | the first try is refused for now |
//! | `nobody` | refused for good |
//! | `silent` | taken, and then the connection is cut without a word |
//! | `slow` | taken after 2 seconds |
//!
//! A phone number that ends in 1 is busy, in 2 nobody's, in 3 silent.

mod phones;
mod smtp;

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{Query, State},
    routing::{get, post},
};
use fairline_server::Shutdown;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// Letters that are kept at most, the newest.
const KEPT_MAX: usize = 1000;

/// A letter, or a message, that somebody was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// Who it is for.
    pub to: String,
    /// Its `Message-ID`; none of a message to a phone.
    pub id: String,
    /// Its subject; none of a message to a phone.
    pub subject: String,
    /// What it says.
    pub text: String,
}

/// What is done with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    TakenLate,
    TakenInSilence,
    Busy,
    Refused,
}

#[derive(Default)]
struct Office {
    letters: VecDeque<Letter>,
    /// Those who were busy once.
    tried: HashSet<String>,
}

/// The post office.
#[derive(Clone, Default)]
pub struct Post(Arc<Mutex<Office>>);

impl Post {
    /// Opens an office that takes letters at a listener, until it is asked to stop.
    #[must_use]
    pub fn open(listener: TcpListener, shutdown: &Shutdown) -> Self {
        let post = Self::default();
        let (office, stop) = (post.clone(), shutdown.clone());
        tokio::spawn(async move { smtp::serve(listener, office, stop).await });
        post
    }

    /// `POST /sandbox/messages`, to send to phones, and `GET /sandbox/letters?to=…`, to look.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/sandbox/messages", post(phones::send))
            .route("/sandbox/letters", get(letters))
            .with_state(self.clone())
    }

    /// What somebody was sent, the oldest first.
    #[must_use]
    pub fn letters_to(&self, to: &str) -> Vec<Letter> {
        self.office(|office| office.letters.iter().filter(|letter| letter.to == to).cloned().collect())
    }

    fn keep(&self, letter: Letter) {
        self.office(|office| {
            office.letters.push_back(letter);
            if office.letters.len() > KEPT_MAX {
                office.letters.pop_front();
            }
        });
    }

    fn fate(&self, to: &str) -> Fate {
        let begins = |word: &str| to.starts_with(word);
        let ends = |digit: char| to.starts_with('+') && to.ends_with(digit);
        if begins("nobody") || ends('2') {
            Fate::Refused
        } else if begins("silent") || ends('3') {
            Fate::TakenInSilence
        } else if begins("slow") {
            Fate::TakenLate
        } else if (begins("busy") || ends('1')) && self.office(|office| office.tried.insert(to.to_owned())) {
            Fate::Busy
        } else {
            Fate::Taken
        }
    }

    fn office<T>(&self, what: impl FnOnce(&mut Office) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Deserialize)]
struct Wanted {
    to: Option<String>,
}

async fn letters(State(post): State<Post>, Query(Wanted { to }): Query<Wanted>) -> axum::Json<Vec<Letter>> {
    axum::Json(match to {
        Some(to) => post.letters_to(&to),
        None => post.office(|office| office.letters.iter().cloned().collect()),
    })
}
