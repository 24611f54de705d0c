//! The keys of a SIP step: `sip`, `method`, `answer`, `answers`, `from`, `to` and `headers`.

use std::collections::BTreeMap;

use super::{
    super::{
        model::{Action, CallEnd, SipAction, SipMethod},
        reading::{Entry, Section},
        sip::{SipAddress, SipAddressError, is_place, is_user},
        template::{Place, Template},
        values::is_secret_header,
    },
    Names,
};
use crate::expression::clean;

/// Keys that no other kind of step has.
const KEYS: [&str; 5] = ["method", "answer", "answers", "from", "to"];

/// Headers that belong to the exchange itself.
const OWN_HEADERS: [&str; 19] = [
    "via",
    "v",
    "from",
    "f",
    "to",
    "t",
    "call-id",
    "i",
    "cseq",
    "contact",
    "m",
    "content-length",
    "l",
    "content-type",
    "c",
    "route",
    "record-route",
    "expires",
    "user-agent",
];

/// Reports the keys of a SIP step in another one.
pub(super) fn strays(section: &Section<'_, '_>) {
    for stray in KEYS.into_iter().filter_map(|key| section.get(key)) {
        stray.error(format!("`{}` of {} belongs to a SIP step", stray.name, stray.what), "take it away");
    }
}

/// What a SIP step does, and the same in words.
pub(super) fn read(
    section: &Section<'_, '_>,
    entry: &Entry<'_, '_>,
    headers: Option<&Entry<'_, '_>>,
    names: &Names<'_>,
) -> Option<(Action, String)> {
    let [method, answer, answers, from, to] = KEYS.map(|key| section.get(key));
    let method = method.map(|entry| entry.word(&["options", "call"]));
    let is_call = method == Some(Some("call"));
    let end = answer.and_then(|entry| {
        // A method that is no word is wrong by itself.
        if !is_call && method != Some(None) {
            entry.error(
                format!("`answer` of {} says how a call ends, and the step places none", entry.what),
                "add method = \"call\", or take it away",
            );
        }
        entry.word(&["cancel", "complete"])
    });
    let method = match (is_call, end) {
        (false, _) => SipMethod::Options,
        (true, Some("complete")) => SipMethod::Call(CallEnd::Complete),
        (true, _) => SipMethod::Call(CallEnd::Cancel),
    };
    let any_answer = answers.and_then(|entry| entry.word(&["success", "any"])) == Some("any");
    let to = to.and_then(|entry| user(&entry, names, false));
    let from = from.and_then(|entry| user(&entry, names, true));
    let headers = headers.map(|entry| step_headers(entry, names)).unwrap_or_default();
    let text = entry.line()?;
    let address = names.template(entry, text);
    match SipAddress::parse(&sample(&address)) {
        Err(error @ SipAddressError::Password) => {
            entry.wrong_secret("carries a password", error.to_string());
            return None;
        }
        Err(error) => entry.wrong(error.to_string()),
        Ok(address) if address.user.is_some() && to.is_some() => section.error(
            "to",
            format!("{} names who is asked for twice, in `sip` and in `to`", section.what()),
            "keep one of them",
        ),
        Ok(_) => {}
    }
    let word = if is_call { "INVITE" } else { "OPTIONS" };
    let what = format!("{word} {}", clean(text, 80));
    Some((Action::Sip(SipAction { address, method, to, from, headers, any_answer }), what))
}

/// A user, or for who asks also `user@host`.
fn user(entry: &Entry<'_, '_>, names: &Names<'_>, with_host: bool) -> Option<Template> {
    let template = names.template(entry, entry.line()?);
    let sample = sample(&template);
    let fits = match sample.rsplit_once('@') {
        Some((user, host)) if with_host => is_user(user) && is_place(host),
        _ => is_user(&sample),
    };
    if !fits {
        let form = if with_host { " or \"probe@example.com\"" } else { "" };
        entry.wrong(format!("it must be a user or number such as \"+15551234567\"{form}"));
    }
    Some(template)
}

/// The text with something in every name's place that fits everywhere, so that the rest can be judged.
fn sample(template: &Template) -> String {
    let vars: BTreeMap<String, String> =
        template.names().map(|name| (name.to_owned(), "1".to_owned())).collect();
    template.render(&vars, Place::Plain).unwrap_or_default()
}

fn step_headers(entry: &Entry<'_, '_>, names: &Names<'_>) -> Vec<(String, Template)> {
    let Some(section) = entry.section(entry.what.clone()) else { return Vec::new() };
    let mut headers = Vec::new();
    for header in section.entries() {
        let name = header.header_name();
        if header.value.get_ref().is_table() || is_secret_header(header.name) {
            header.wrong_secret("carries a secret, which a SIP step cannot", "take it away");
            continue;
        }
        let Some(name) = name else { continue };
        if OWN_HEADERS.contains(&name.as_str()) {
            header.error(
                format!("`{}` of {} is written by the exchange itself", header.name, header.what),
                "take it away; `from` and `to` say who asks and who is asked for",
            );
            continue;
        }
        let Some(text) = header.header_value() else { continue };
        let template = names.template(&header, text);
        if name == "max-forwards" && !sample(&template).parse::<u8>().is_ok_and(|hops| hops <= 70) {
            header.wrong("it must be a number from 0 to 70");
        }
        headers.push((header.name.to_owned(), template));
    }
    headers
}
