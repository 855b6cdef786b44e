//! As much of JSON Schema as `docs/report.schema.json` uses. A word that is not known here fails, so that nothing in
//! the schema goes unchecked.

use serde_json::Value;

/// Checks a report; returns the first place that does not fit.
pub fn check_report(report: &Value) -> Result<(), String> {
    let schema: Value = serde_json::from_str(include_str!("../../docs/report.schema.json")).expect("a schema");
    check(&schema, &schema, report, "report")
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let rules = schema.as_object().ok_or("a schema that is no object")?;
    for (word, rule) in rules {
        let fits = match word.as_str() {
            "$schema" | "title" | "description" | "$defs" => true,
            "$ref" => {
                let name = rule.as_str().and_then(|r| r.strip_prefix("#/$defs/")).ok_or("a foreign reference")?;
                check(root, &root["$defs"][name], value, at)?;
                true
            }
            "type" => match rule {
                Value::Array(any) => any.iter().any(|t| is(value, t)),
                one => is(value, one),
            },
            "const" => value == rule,
            "enum" => rule.as_array().is_some_and(|all| all.contains(value)),
            "minimum" => value.as_f64().is_none_or(|v| v >= rule.as_f64().unwrap_or(f64::MAX)),
            "maximum" => value.as_f64().is_none_or(|v| v <= rule.as_f64().unwrap_or(f64::MIN)),
            "minItems" => value.as_array().is_none_or(|v| v.len() as u64 >= rule.as_u64().unwrap_or(u64::MAX)),
            "maxItems" => value.as_array().is_none_or(|v| v.len() as u64 <= rule.as_u64().unwrap_or(0)),
            // The one pattern in use.
            "pattern" if rule == "^[0-9a-f]{64}$" => value
                .as_str()
                .is_none_or(|v| v.len() == 64 && v.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))),
            "required" => rule.as_array().into_iter().flatten().all(|k| value.get(k.as_str().unwrap_or("")).is_some()),
            "additionalProperties" if rule == false => {
                value.as_object().is_none_or(|o| o.keys().all(|k| schema["properties"].get(k).is_some()))
            }
            "properties" => {
                for (key, inner) in rule.as_object().into_iter().flatten() {
                    if let Some(v) = value.get(key) {
                        check(root, inner, v, &format!("{at}.{key}"))?;
                    }
                }
                true
            }
            "items" => {
                for (i, v) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, rule, v, &format!("{at}[{i}]"))?;
                }
                true
            }
            "anyOf" => rule.as_array().into_iter().flatten().any(|s| check(root, s, value, at).is_ok()),
            other => return Err(format!("the schema uses `{other}`, which is not checked here")),
        };
        if !fits {
            return Err(format!("{at} does not fit `{word}`: {value}"));
        }
    }
    Ok(())
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_u64() || value.is_i64(),
        _ => false,
    }
}
