//! Times as text: RFC 3339 in UTC.

/// Seconds and nanoseconds since 1970 as "2026-11-22T05:00:00.000000Z".
pub fn rfc3339(seconds: u64, nanoseconds: u32) -> String {
    let days = i64::try_from(seconds / 86_400).unwrap_or(0);
    let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Days to a civil date: eras of 400 years that begin in March.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:06}Z",
        nanoseconds / 1000
    )
}

/// Seconds since 1970 and microseconds of a time as [`rfc3339`] writes it; `None` for any other text.
pub fn seconds(text: &str) -> Option<(u64, u64)> {
    let bytes = text.as_bytes();
    let shape = b"0000-00-00T00:00:00.000000Z";
    let same = |(b, s): (&u8, &u8)| {
        if *s == b'0' {
            b.is_ascii_digit()
        } else {
            b == s
        }
    };
    if bytes.len() != shape.len() || !bytes.iter().zip(shape).all(same) {
        return None;
    }
    let number = |at: std::ops::Range<usize>| text[at].parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (h, m, s) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if year < 1970
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || h > 23
        || m > 59
        || s > 60
    {
        return None;
    }
    // Years that begin in March: the day that leap years add comes last.
    let (y, shifted) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (153 * shifted + 2) / 5 + day - 1 - 719_468;
    Some((days * 86_400 + h * 3600 + m * 60 + s, number(20..26)?))
}

/// UTC now as RFC 3339 with microseconds.
pub fn now() -> String {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    rfc3339(since.as_secs(), since.subsec_nanos())
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_and_back() {
        for at in (0..4_000_000_000).step_by(7_919_333) {
            assert_eq!(super::seconds(&super::rfc3339(at, 5_000)), Some((at, 5)));
        }
        for bad in [
            "",
            "2026",
            "2026-13-01T00:00:00.000000Z",
            "1969-01-01T00:00:00.000000Z",
            "2026-01-01 00:00:00.000000Z",
            "éé26-01-01T00:00:00.00000Z",
        ] {
            assert_eq!(super::seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates() {
        assert_eq!(super::rfc3339(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            super::rfc3339(951_782_400, 1_500_000),
            "2000-02-29T00:00:00.001500Z"
        );
        assert_eq!(
            super::rfc3339(1_795_323_599, 0),
            "2026-11-22T04:59:59.000000Z"
        );
    }
}
