//! What stands about the screen, warroom itself and its platforms.

use super::State;
use crate::console::{text, words};

impl State {
    /// What a person must know now besides how the components are, the gravest first.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let stopped = self.stopped.as_ref().map(|reason| format!("nothing is measured any longer: {reason}"));
        let lost = self.lost.as_ref().map(|reason| {
            let since = self.cut_off.map_or_else(String::new, |at| {
                format!(" since {}", text::time_of_day(self.picture.corrected(at.wall)))
            });
            format!("not connected{since}, trying again: {reason}")
        });
        stopped.into_iter().chain(lost).chain(words::standing(self.shown_picture())).collect()
    }
}
