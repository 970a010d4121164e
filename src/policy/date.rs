//! A calendar day in UTC: when exceptions begin and end.
//!
//! Arithmetic and text only; the clock is read by `host`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A day, counted from 1970-01-01. Written as 2026-11-22.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i64);

impl Date {
    /// The day of a time in seconds since 1970.
    pub fn of_seconds(seconds: u64) -> Self {
        Self((seconds / 86_400) as i64)
    }

    /// A day of the Gregorian calendar; `None` if there is no such day, or outside the years 1970..9999.
    pub fn of_calendar(year: i64, month: u8, day: u8) -> Option<Self> {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let length = match month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if !(1970..=9999).contains(&year) || day == 0 || day > length {
            return None;
        }
        // Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in March.
        let shifted = if month <= 2 { year - 1 } else { year };
        let era_year = shifted.rem_euclid(400);
        let from_march = (i64::from(month) + 9) % 12;
        let day_of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
        let day_of_era = era_year * 365 + era_year / 4 - era_year / 100 + day_of_year;
        Some(Self(
            shifted.div_euclid(400) * 146_097 + day_of_era - 719_468,
        ))
    }

    /// So many days later.
    pub fn plus_days(self, days: i64) -> Self {
        Self(self.0 + days)
    }

    /// Days from the other to this one.
    pub fn days_after(self, earlier: Date) -> i64 {
        self.0 - earlier.0
    }

    fn calendar(self) -> (i64, i64, i64) {
        let shifted = self.0 + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let era_year =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * era_year + era_year / 4 - era_year / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = (from_march + 2) % 12 + 1;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let year = era_year + era * 400 + i64::from(month <= 2);
        (year, month, day)
    }
}

impl std::str::FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a day; write it as 2026-11-22");
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' || !text.is_ascii() {
            return Err(wrong());
        }
        let digits = |part: &str| {
            part.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| part.parse::<i64>().ok())
                .flatten()
        };
        let parts = (digits(&text[..4]), digits(&text[5..7]), digits(&text[8..]));
        let (Some(year), Some(month), Some(day)) = parts else {
            return Err(wrong());
        };
        Self::of_calendar(year, month as u8, day as u8).ok_or_else(wrong)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.calendar();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl Serialize for Date {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    /// Both TOML's own dates (2026-11-22) and strings ("2026-11-22").
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match toml::Value::deserialize(d)? {
            toml::Value::String(text) => text.parse().map_err(Error::custom),
            toml::Value::Datetime(at) => at.to_string().parse().map_err(Error::custom),
            other => Err(Error::custom(format!(
                "a day such as 2026-11-22 is wanted, not a {}",
                other.type_str()
            ))),
        }
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Date {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_date_1_counts_them() {
        assert_eq!(Date::of_seconds(1_795_305_600).to_string(), "2026-11-22");
        assert_eq!("1970-01-01".parse(), Ok(Date(0)));
        assert_eq!(
            "2024-02-29".parse::<Date>().unwrap().to_string(),
            "2024-02-29"
        );
        assert!("2023-02-29".parse::<Date>().is_err());
        assert!("2023-13-01".parse::<Date>().is_err());
        assert!("+023-01-01".parse::<Date>().is_err());
        assert!("2026-11-22T10:00:00".parse::<Date>().is_err());
    }

    #[test]
    fn every_day_of_five_centuries_comes_back() {
        for day in 0..180_000 {
            assert_eq!(Date(day).to_string().parse(), Ok(Date(day)));
        }
    }
}
