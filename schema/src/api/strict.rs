//! Reads JSON that has one reading.
//!
//! A member that is given twice is two readings: some programs take the first, some the last. It is refused at every depth.

use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads one JSON value as a type.
///
/// # Errors
/// In words: no JSON, a member twice, more than 127 levels, or not what the type takes.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(Strict)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(Strict)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the member {key:?} is given twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_is() {
        let text = r#"{"a":[1,-2,1.5,true,null,"x\u0000"],"b":{}}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read::<Value>(text.as_bytes()), Ok(expected));
    }

    #[test]
    fn what_has_two_readings_or_none_is_refused() {
        for (text, why) in [
            (r#"{"a":1,"a":1}"#, "given twice"),
            (r#"{"x":[{"a":1,"b":{"c":0,"c":0}}]}"#, "given twice"),
            (r#"{"a":1,"\u0061":1}"#, "given twice"),
            ("{} {}", "trailing"),
            ("", "EOF"),
            ("{", "EOF"),
            ("\u{feff}{}", "expected value"),
            ("1e999", "out of range"),
            ("\"\\ud800\"", "escape"),
        ] {
            let error = read::<Value>(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(read::<Value>(b"\"\xff\"").is_err());
        assert!(read::<Value>("[".repeat(100_000).as_bytes()).unwrap_err().contains("recursion"));
    }
}
