//! One condition by itself, decided on one request by the evaluator that the enforcing programs have.

use outcall_schema::layer::Layer;
use outcall_schema::request::Request;

use super::why::truth;
use crate::cel::{self, CelError};

/// How a condition comes out at a layer: true, false, or `None` for unknown. No rule matches on an unknown one.
///
/// # Errors
/// What is wrong with the condition.
pub fn condition(text: &str, layer: Layer, request: &Request) -> Result<Option<bool>, Vec<CelError>> {
    let condition = cel::parse_and_check(text, &cel::Env::rule())?;
    let request = request.clone().complete(layer);
    Ok(truth(&condition, &request.facts(layer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_true_false_or_unknown() {
        let fields = serde_json::json!({"http": {"host": "a.example", "path": "/v1/x", "scheme": "https"}});
        let request = Request::from_json(fields.as_object().unwrap()).unwrap();
        for (text, expected) in [
            ("http.host == \"a.example\" && http.path.startsWith(\"/v1\")", Some(true)),
            ("http.host.endsWith(\".b.example\")", Some(false)),
            ("dns.query == \"a.example\"", None),
            ("http.headers[\"x\"] == \"1\"", None),
            ("dns.query == \"a\" || http.host == \"a.example\"", Some(true)),
        ] {
            assert_eq!(condition(text, Layer::Https, &request).unwrap(), expected, "{text}");
        }
        for wrong in ["http.hots == \"a\"", "http.host", "1 +", "$name"] {
            assert!(!condition(wrong, Layer::Https, &request).unwrap_err().is_empty(), "{wrong}");
        }
    }
}
