//! What about warroom itself a person must know now, the gravest first.

use super::row;
use crate::{
    console::{state::State, text},
    domain::record::ClockState,
};

/// The notices that stand.
pub(in crate::console) fn notices(state: &State) -> Vec<String> {
    let picture = state.frozen.as_ref().map_or(&state.picture, |frozen| &frozen.picture);
    let stopped = state.stopped.as_ref().map(|reason| format!("nothing is measured any longer: {reason}"));
    let lost = state.lost.as_ref().map(|reason| {
        let since = state.cut_off.map_or_else(String::new, |at| {
            format!(" since {}", text::time_of_day(state.picture.corrected(at.wall)))
        });
        format!("not connected{since}, trying again: {reason}")
    });
    // An engine that has a notice of its own about it says more.
    let refused =
        picture.config.as_ref().filter(|config| !config.loaded && !picture.notices.contains_key("config"));
    let refused = refused.map(|config| {
        let first = config.words.first().map_or("no reason given", String::as_str);
        let more = match config.words.len() {
            0 | 1 => String::new(),
            all => format!(" (+{} more)", all - 1),
        };
        format!("the new config is refused, the old one stays: {first}{more}")
    });
    let failing = picture.platforms.iter().filter_map(|(id, platform)| {
        platform.login_failing.as_ref().map(|reason| format!("{id}: login failing: {reason}"))
    });
    let standing = picture.notices.values().map(|notice| notice.text.clone());
    let short = picture.platforms.iter().filter_map(|(id, platform)| {
        let worst = platform.stretched.first()?;
        let name = picture.position(&worst.component_id).map(|place| &picture.roster.components[place].name);
        let name = name.map_or_else(|| worst.component_id.to_string(), ToString::to_string);
        let more = match platform.stretched.len() {
            1 => String::new(),
            all => format!(" (+{} more)", all - 1),
        };
        Some(format!("{id}: the rate budget is short: {name} probed {}{more}", row::intervals(worst)))
    });
    let unsafe_clock =
        picture.clock.as_ref().filter(|clock| clock.state == ClockState::Unsafe).map(|clock| {
            let wrong = clock.offset_ms.map(|offset| format!(" by {:.1} s", offset.abs() / 1000.0));
            format!(
                "the clock is wrong{}: nothing is recorded; `chronyc makestep` sets it",
                wrong.unwrap_or_default()
            )
        });
    stopped
        .into_iter()
        .chain(lost)
        .chain(unsafe_clock)
        .chain(failing)
        .chain(refused)
        .chain(standing)
        .chain(short)
        .collect()
}
