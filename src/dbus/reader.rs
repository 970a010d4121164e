//! Values out of bytes that anybody may have sent: every length and offset is checked, and how deep they lie.

use super::DbusError;
use super::value::{Basic, Value, alignment};

/// How deep containers may lie in each other (the specification allows 32 of each kind).
const DEEPEST: usize = 32;

/// Reads values out of a message; every offset counts from the message's (or body's) beginning.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// One value for each complete type in `types`.
    pub(super) fn all(&mut self, types: &str) -> Result<Vec<Value>, DbusError> {
        let mut rest = types;
        let mut out = Vec::new();
        while !rest.is_empty() {
            let (one, after) = split(rest, 0)?;
            out.push(self.one(one, 0)?);
            rest = after;
        }
        Ok(out)
    }

    fn one(&mut self, kind: &str, depth: usize) -> Result<Value, DbusError> {
        if depth > DEEPEST {
            return Err(DbusError::Malformed("containers lie too deep"));
        }
        let letter = kind.chars().next().unwrap_or('?');
        if let Some(basic) = Basic::of(letter) {
            return self.fixed(basic);
        }
        match letter {
            's' => self.text().map(Value::Text),
            'o' => self.text().map(Value::Path),
            'g' => self.signature().map(Value::Signature),
            'v' => {
                let inner = self.signature()?;
                let (one, rest) = split(&inner, 0)?;
                if !rest.is_empty() {
                    return Err(DbusError::Malformed("a variant of several types"));
                }
                Ok(self.one(one, depth + 1)?.variant())
            }
            'a' => self.array(&kind[1..], depth),
            '(' | '{' => {
                self.align(8)?;
                let mut rest = &kind[1..kind.len() - 1];
                let mut parts = Vec::new();
                while !rest.is_empty() {
                    let (one, after) = split(rest, 0)?;
                    parts.push(self.one(one, depth + 1)?);
                    rest = after;
                }
                Ok(Value::Struct(parts))
            }
            _ => Err(DbusError::Malformed("an unknown type")),
        }
    }

    fn array(&mut self, of: &str, depth: usize) -> Result<Value, DbusError> {
        let length = self.word()? as usize;
        self.align(alignment(of.chars().next().unwrap_or('y')))?;
        let end = self.at.checked_add(length);
        let end = end.filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(DbusError::Malformed("an array beyond the end"))?;
        let mut items = Vec::new();
        while self.at < end {
            let before = self.at;
            items.push(self.one(of, depth + 1)?);
            if self.at == before {
                return Err(DbusError::Malformed("an element of no length"));
            }
        }
        match self.at == end {
            true => Ok(Value::Array(of.into(), items)),
            false => Err(DbusError::Malformed("an array of another length")),
        }
    }

    fn fixed(&mut self, basic: Basic) -> Result<Value, DbusError> {
        self.align(basic.size())?;
        let mut bits = [0u8; 8];
        bits[..basic.size()].copy_from_slice(self.take(basic.size())?);
        let bits = u64::from_le_bytes(bits);
        match basic {
            Basic::Boolean if bits > 1 => Err(DbusError::Malformed("a boolean of another value")),
            _ => Ok(Value::Fixed(basic, bits)),
        }
    }

    fn word(&mut self) -> Result<u32, DbusError> {
        match self.fixed(Basic::Word('u'))? {
            Value::Fixed(_, bits) => Ok(bits as u32),
            _ => Err(DbusError::Malformed("no number")),
        }
    }

    fn text(&mut self) -> Result<String, DbusError> {
        let length = self.word()? as usize;
        self.string(length)
    }

    fn signature(&mut self) -> Result<String, DbusError> {
        let length = usize::from(self.take(1)?[0]);
        self.string(length)
    }

    fn string(&mut self, length: usize) -> Result<String, DbusError> {
        let text = self.take(length)?;
        let text = std::str::from_utf8(text).map_err(|_| DbusError::Malformed("no UTF-8"))?;
        match self.take(1)? {
            [0] if !text.contains('\0') => Ok(text.into()),
            _ => Err(DbusError::Malformed("a text without its end")),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DbusError> {
        let end = self.at.checked_add(count);
        let part = end.and_then(|end| self.bytes.get(self.at..end));
        let part = part.ok_or(DbusError::Malformed("it ends too early"))?;
        self.at += count;
        Ok(part)
    }

    fn align(&mut self, to: usize) -> Result<(), DbusError> {
        let padding = self.at.next_multiple_of(to) - self.at;
        self.take(padding).map(drop)
    }
}

/// The first complete type, and what follows it.
fn split(types: &str, depth: usize) -> Result<(&str, &str), DbusError> {
    const BAD: DbusError = DbusError::Malformed("a signature that makes no sense");
    if depth > DEEPEST {
        return Err(BAD);
    }
    let first = types.bytes().next().ok_or(BAD)?;
    let end = match first {
        b'a' => 1 + split(&types[1..], depth + 1)?.0.len(),
        b'(' | b'{' => {
            let close = if first == b'(' { b')' } else { b'}' };
            let mut at = 1;
            while types.as_bytes().get(at) != Some(&close) {
                at += split(types.get(at..).ok_or(BAD)?, depth + 1)?.0.len();
            }
            if at == 1 {
                return Err(BAD);
            }
            at + 1
        }
        b's' | b'o' | b'g' | b'v' => 1,
        other if Basic::of(other.into()).is_some() => 1,
        _ => return Err(BAD),
    };
    Ok(types.split_at(end))
}
