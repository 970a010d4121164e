//! Amounts in policy files and in mount options: "64MiB", 1.5 CPUs, "unlimited".
//!
//! Text to number and back, all or nothing: no partial parses (CVE-2026-30892 came from one).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A number of bytes (or of anything that is counted); [`Amount::UNLIMITED`] for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub u64);

impl Amount {
    /// "unlimited".
    pub const UNLIMITED: Amount = Amount(u64::MAX);
}

const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{:?} is not an amount; write a whole number, such a number with KiB, MiB, GiB or TiB, or \"unlimited\"",
                text.chars().take(64).collect::<String>()
            )
        };
        if text == "unlimited" {
            return Ok(Self::UNLIMITED);
        }
        let split = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let shift = match unit {
            "" => 0,
            unit => {
                UNITS
                    .iter()
                    .find(|(name, _)| *name == unit)
                    .ok_or_else(wrong)?
                    .1
            }
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::UNLIMITED {
            return f.write_str("unlimited");
        }
        for (name, shift) in UNITS.iter().rev() {
            if self.0 != 0 && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{name}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// What stands in the file, before it is judged.
enum Written {
    Whole(i64),
    Part(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl serde::de::Visitor<'_> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_i64<E>(self, n: i64) -> Result<Written, E> {
        Ok(Written::Whole(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Written, E> {
        Ok(i64::try_from(n).map_or(Written::Part(n as f64), Written::Whole))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Written, E> {
        Ok(Written::Part(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Text(text.into()))
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match Written::deserialize(d) {
            Ok(Written::Whole(n)) => u64::try_from(n).map(Self).map_err(|_| {
                Error::custom(format!(
                    "{n} is negative; write \"unlimited\" if that is meant"
                ))
            }),
            Ok(Written::Text(text)) => text.parse().map_err(Error::custom),
            Ok(Written::Part(n)) => Err(Error::custom(format!("{n} is not a whole number"))),
            Err(_) => Err(Error::custom(
                "an amount is wanted: 512, \"512MiB\" or \"unlimited\"",
            )),
        }
    }
}

/// How many: threads, descriptors, operations; [`Count::UNLIMITED`] for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count(pub u64);

impl Count {
    /// "unlimited".
    pub const UNLIMITED: Count = Count(u64::MAX);
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UNLIMITED => f.write_str("unlimited"),
            Self(n) => write!(f, "{n}"),
        }
    }
}

impl Serialize for Count {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match Written::deserialize(d) {
            Ok(Written::Whole(n)) if n >= 0 => Ok(Self(n.unsigned_abs())),
            Ok(Written::Text(text)) if text == "unlimited" => Ok(Self::UNLIMITED),
            _ => Err(Error::custom("a whole number is wanted, or \"unlimited\"")),
        }
    }
}

/// CPUs in thousandths; [`Cpus::UNLIMITED`] for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpus(pub u64);

impl Cpus {
    /// "unlimited".
    pub const UNLIMITED: Cpus = Cpus(u64::MAX);

    /// Microseconds of CPU time in a period of so many microseconds.
    pub fn quota(self, period: u64) -> u64 {
        (u128::from(self.0) * u128::from(period) / 1000)
            .try_into()
            .unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self, self.0 % 1000) {
            (Self::UNLIMITED, _) => f.write_str("unlimited"),
            (_, 0) => write!(f, "{}", self.0 / 1000),
            (_, rest) => {
                let part = format!("{rest:03}");
                write!(f, "{}.{}", self.0 / 1000, part.trim_end_matches('0'))
            }
        }
    }
}

impl Serialize for Cpus {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cpus {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let number = match Written::deserialize(d) {
            Ok(Written::Whole(n)) => n as f64,
            Ok(Written::Part(n)) => n,
            Ok(Written::Text(text)) if text == "unlimited" => return Ok(Self::UNLIMITED),
            _ => {
                return Err(Error::custom(
                    "CPUs are a number such as 1.5, or \"unlimited\"",
                ));
            }
        };
        if !(0.001..=8192.0).contains(&number) {
            return Err(Error::custom(format!(
                "{number} CPUs: at least 0.001 and at most 8192 are possible"
            )));
        }
        Ok(Self((number * 1000.0).round() as u64))
    }
}

#[cfg(test)]
mod schema {
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    impl JsonSchema for super::Amount {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Amount".into()
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^([0-9]+(KiB|MiB|GiB|TiB)?|unlimited)$"}]})
        }
    }

    impl JsonSchema for super::Count {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Count".into()
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"anyOf": [{"type": "integer", "minimum": 0}, {"const": "unlimited"}]})
        }
    }

    impl JsonSchema for super::Cpus {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Cpus".into()
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"anyOf": [
                {"type": "number", "minimum": 0.001, "maximum": 8192},
                {"const": "unlimited"}]})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_all_or_nothing() {
        assert_eq!("64MiB".parse(), Ok(Amount(64 << 20)));
        assert_eq!(Amount(1536).to_string(), "1536");
        assert_eq!(Amount(3 << 30).to_string(), "3GiB");
        for wrong in [
            "",
            "-1",
            "+1",
            "1 MiB",
            "64mib",
            "1.5GiB",
            "MiB",
            "99999999TiB",
            "1KiBx",
        ] {
            assert!(wrong.parse::<Amount>().is_err(), "{wrong}");
        }
        assert_eq!(Cpus(1500).to_string(), "1.5");
        assert_eq!(Cpus(1500).quota(100_000), 150_000);
    }

    proptest! {
        #[test]
        fn amounts_come_back(n in any::<u64>()) {
            prop_assert_eq!(Amount(n).to_string().parse(), Ok(Amount(n)));
        }
        #[test]
        fn what_parses_prints_the_same_number(text in "[0-9]{1,6}(KiB|MiB|GiB)?") {
            let amount: Amount = text.parse().unwrap();
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }
    }
}
