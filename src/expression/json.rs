//! A body's bytes to a CEL value: JSON without a detour, strings borrowed where they carry no escapes.

use std::{collections::HashMap, fmt};

use cel::common::{
    types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelNull, CelString, CelUInt},
    value::Val,
};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// A CEL value that may borrow from the body.
pub(super) type Boxed<'a> = Box<dyn Val + 'a>;

/// The body as JSON; `None` where it is not JSON. Nesting is bounded by the JSON reader (128 levels).
pub(super) fn parse(body: &[u8]) -> Option<Boxed<'_>> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Seed.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(value)
}

/// The body as a text, invalid bytes replaced.
pub(super) fn text(body: &[u8]) -> Boxed<'_> {
    Box::new(CelString::from(String::from_utf8_lossy(body)))
}

struct Seed;

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Boxed<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Boxed<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Box::new(CelBool::from(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Box::new(CelInt::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        // Literals in expressions are signed, so that arithmetic with them works on all but the largest numbers.
        Ok(match i64::try_from(value) {
            Ok(signed) => Box::new(CelInt::from(signed)),
            Err(_) => Box::new(CelUInt::from(value)),
        })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Box::new(CelDouble::from(value)))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Box::new(CelString::from(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Box::new(CelString::from(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
        Ok(Box::new(CelString::from(value)))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Box::new(CelNull))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list: Vec<Boxed<'de>> = Vec::new();
        while let Some(item) = items.next_element_seed(Seed)? {
            list.push(item);
        }
        Ok(Box::new(CelList::from(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = HashMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.insert(key.into(), entries.next_value_seed(Seed)?);
        }
        Ok(Box::new(CelMap::from(map)))
    }
}
