//! What the simulated platforms keep for a while: rows of data tables, and what scripts wrote into the CRM.
//!
//! Invariant: at most [`MOST`] of them; the oldest goes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

/// The most records.
const MOST: usize = 512;

/// Records by their key.
#[derive(Debug, Default)]
pub(super) struct Records(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_key: BTreeMap<String, Value>,
    /// Keys in the order in which they first came.
    order: VecDeque<String>,
}

impl Records {
    /// The record of that key.
    pub(super) fn get(&self, key: &str) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_key.get(key).cloned()
    }

    /// Keeps a record in the place of an older one.
    pub(super) fn put(&self, key: &str, value: Value) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.by_key.insert(key.to_owned(), value).is_none() {
            kept.order.push_back(key.to_owned());
        }
        if kept.order.len() > MOST
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.by_key.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_record_goes_and_a_new_value_takes_no_room() {
        let records = Records::default();
        for number in 0..=MOST {
            records.put(&number.to_string(), Value::from(number));
            records.put(&number.to_string(), Value::from(number + 1));
        }
        assert_eq!(records.get("0"), None);
        assert_eq!(records.get("1"), Some(Value::from(2)));
        assert_eq!(records.get(&MOST.to_string()), Some(Value::from(MOST + 1)));
    }
}
