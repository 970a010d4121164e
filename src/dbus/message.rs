//! A message: sixteen bytes, a list of header fields, and a body of values. Little endian, as every machine we build for.

use super::DbusError;
use super::reader::Reader;
use super::value::{Value, pad};

/// The fixed part in front of the fields, the length of the fields included.
pub(super) const FIXED: usize = 16;

/// The largest message that is read: what we ask for fits into a page.
const MOST: usize = 1 << 20;

const PATH: u64 = 1;
const INTERFACE: u64 = 2;
const MEMBER: u64 = 3;
const ERROR_NAME: u64 = 4;
const REPLY_SERIAL: u64 = 5;
const DESTINATION: u64 = 6;
const SENDER: u64 = 7;
const SIGNATURE: u64 = 8;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Asks.
    Call,
    /// Answers.
    Return,
    /// Says no.
    Error,
    /// Tells everybody.
    Signal,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// The sender's number for it; never 0.
    pub serial: u32,
    /// The number of the call that it answers.
    pub reply_to: Option<u32>,
    /// The object.
    pub path: Option<String>,
    /// The interface.
    pub interface: Option<String>,
    /// The method or signal.
    pub member: Option<String>,
    /// The name of an error.
    pub error: Option<String>,
    /// To whom.
    pub destination: Option<String>,
    /// From whom; the bus fills it in.
    pub sender: Option<String>,
    /// Values.
    pub body: Vec<Value>,
}

impl Message {
    /// One with nothing in it.
    pub fn new(kind: Kind, serial: u32) -> Self {
        Self {
            kind,
            serial,
            reply_to: None,
            path: None,
            interface: None,
            member: None,
            error: None,
            destination: None,
            sender: None,
            body: Vec::new(),
        }
    }

    /// As sent.
    pub fn bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.body.iter().for_each(|value| value.write(&mut body));
        let kind = match self.kind {
            Kind::Call => 1,
            Kind::Return => 2,
            Kind::Error => 3,
            Kind::Signal => 4,
        };
        let mut out = vec![b'l', kind, 0, 1];
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.serial.to_le_bytes());
        Value::Array("(yv)".into(), self.fields()).write(&mut out);
        pad(&mut out, 8);
        out.extend_from_slice(&body);
        out
    }

    fn fields(&self) -> Vec<Value> {
        let text = |value: &Option<String>| value.clone().map(Value::Text);
        let types: String = self.body.iter().map(Value::signature).collect();
        let all = [
            (PATH, self.path.clone().map(Value::Path)),
            (INTERFACE, text(&self.interface)),
            (MEMBER, text(&self.member)),
            (ERROR_NAME, text(&self.error)),
            (REPLY_SERIAL, self.reply_to.map(Value::word)),
            (DESTINATION, text(&self.destination)),
            (SENDER, text(&self.sender)),
            (
                SIGNATURE,
                (!types.is_empty()).then_some(Value::Signature(types)),
            ),
        ];
        let field = |(code, value): (u64, Option<Value>)| {
            let code = Value::Fixed(super::Basic::Byte, code);
            Some(Value::Struct(vec![code, value?.variant()]))
        };
        all.into_iter().filter_map(field).collect()
    }

    /// How long the message is that begins with these [`FIXED`] bytes.
    pub fn length(head: &[u8]) -> Result<usize, DbusError> {
        let word = |at: usize| {
            let bytes = head.get(at..at + 4).and_then(|b| b.try_into().ok());
            bytes.map(u32::from_le_bytes).map(|n| n as usize)
        };
        let (Some(body), Some(fields)) = (word(4), word(12)) else {
            return Err(DbusError::Malformed("it ends too early"));
        };
        if head[0] != b'l' || head[3] != 1 {
            return Err(DbusError::Malformed("another byte order or version"));
        }
        if body > MOST || fields > MOST {
            return Err(DbusError::Malformed("it is longer than a mebibyte"));
        }
        Ok((FIXED + fields).next_multiple_of(8) + body)
    }

    /// From a whole message; `None`: of a kind that is to be ignored.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, DbusError> {
        if bytes.len() < FIXED || bytes.len() != Self::length(bytes)? {
            return Err(DbusError::Malformed("another length than it says"));
        }
        let kind = match bytes[1] {
            1 => Kind::Call,
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            0 => return Err(DbusError::Malformed("no kind")),
            _ => return Ok(None),
        };
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        let mut message = Self::new(kind, number(8));
        let mut types = String::new();
        let fields = Reader::new(bytes, FIXED - 4).all("a(yv)")?;
        let Some(Value::Array(_, fields)) = fields.into_iter().next() else {
            return Err(DbusError::Malformed("no header"));
        };
        for field in fields {
            let Value::Struct(parts) = field else {
                continue;
            };
            let [Value::Fixed(_, code), Value::Variant(value)] = parts.as_slice() else {
                continue;
            };
            let place = match (*code, &**value) {
                (PATH, Value::Path(_)) => &mut message.path,
                (INTERFACE, Value::Text(_)) => &mut message.interface,
                (MEMBER, Value::Text(_)) => &mut message.member,
                (ERROR_NAME, Value::Text(_)) => &mut message.error,
                (DESTINATION, Value::Text(_)) => &mut message.destination,
                (SENDER, Value::Text(_)) => &mut message.sender,
                (REPLY_SERIAL, Value::Fixed(super::Basic::Word('u'), n)) => {
                    message.reply_to = Some(*n as u32);
                    continue;
                }
                (SIGNATURE, Value::Signature(text)) => {
                    types.clone_from(text);
                    continue;
                }
                _ => continue,
            };
            *place = value.as_text().map(String::from);
        }
        let body = &bytes[(FIXED + number(12) as usize).next_multiple_of(8)..];
        message.body = Reader::new(body, 0).all(&types)?;
        Ok(Some(message))
    }
}
