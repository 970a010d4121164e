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

#[cfg(test)]
mod tests {
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
