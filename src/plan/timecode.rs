//! Times as people write them in a cast file.

/// Seconds of `"HH:MM:SS.mmm"`, `"MM:SS"`, `"12.5"` or `"1.5s"`; `None` if it is none of these.
#[must_use]
pub fn parse_timecode(text: &str) -> Option<f64> {
    let text = text.trim();
    let text = text.strip_suffix('s').unwrap_or(text);
    let parts: Vec<&str> = text.split(':').collect();
    if parts.is_empty() || parts.len() > 3 {
        return None;
    }
    let (last, whole) = parts.split_last()?;
    let number = |s: &str| -> Option<f64> {
        let plain = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if plain { s.parse().ok() } else { None }
    };
    let mut seconds = 0.0;
    for part in whole {
        let unit: f64 = number(part).filter(|v| v.fract() == 0.0)?;
        seconds = seconds * 60.0 + unit;
    }
    let tail = number(last)?;
    if !whole.is_empty() && tail >= 60.0 {
        return None;
    }
    Some(seconds * 60.0_f64.powi(i32::from(!whole.is_empty())) + tail)
}

#[cfg(test)]
mod tests {
    use super::parse_timecode;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(parse_timecode("01:12:03.100"), Some(4323.1));
        assert_eq!(parse_timecode("1:30"), Some(90.0));
        assert_eq!(parse_timecode("1.5s"), Some(1.5));
        assert_eq!(parse_timecode("12"), Some(12.0));
        for bad in ["", "abc", "1:2:3:4", "1:75", "-3", "1.5:10", "inf", "1e9"] {
            assert_eq!(parse_timecode(bad), None, "{bad}");
        }
    }
}
