//! The text of a story: what it starts with, and an event a line. It does not depend on how seeds
//! choose events, so it is kept as a test.

use serde_json::Error;

use crate::{event::StoryEvent, sale::StorySetup};

/// The text of a story.
///
/// # Errors
/// When it can't be written.
pub fn to_text(setting: &StorySetup, events: &[StoryEvent]) -> Result<String, Error> {
    let mut text = serde_json::to_string(setting)?;
    for event in events {
        text.push('\n');
        text.push_str(&serde_json::to_string(event)?);
    }
    text.push('\n');
    Ok(text)
}

/// Reads the text of a story.
///
/// # Errors
/// When the text is no story.
pub fn parse(text: &str) -> Result<(StorySetup, Vec<StoryEvent>), Error> {
    let mut lines = text.lines();
    let setting = serde_json::from_str(lines.next().unwrap_or_default())?;
    let events = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok((setting, events))
}
