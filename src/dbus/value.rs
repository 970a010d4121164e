//! Values as D-Bus writes them: a type in one letter each, then the bytes, aligned to their own size.

/// Types of a fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basic {
    /// y
    Byte,
    /// b
    Boolean,
    /// n and q: sixteen bits.
    Short(char),
    /// i, u and h: thirty-two bits.
    Word(char),
    /// x, t and d: sixty-four bits.
    Long(char),
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, as its bits.
    Fixed(Basic, u64),
    /// s
    Text(String),
    /// o
    Path(String),
    /// g
    Signature(String),
    /// a: the type of each, and all of them.
    Array(String, Vec<Value>),
    /// (...), and {..} inside arrays.
    Struct(Vec<Value>),
    /// v
    Variant(Box<Value>),
}

impl Basic {
    pub(super) fn of(letter: char) -> Option<Self> {
        Some(match letter {
            'y' => Self::Byte,
            'b' => Self::Boolean,
            'n' | 'q' => Self::Short(letter),
            'i' | 'u' | 'h' => Self::Word(letter),
            'x' | 't' | 'd' => Self::Long(letter),
            _ => return None,
        })
    }

    fn letter(self) -> char {
        match self {
            Self::Byte => 'y',
            Self::Boolean => 'b',
            Self::Short(c) | Self::Word(c) | Self::Long(c) => c,
        }
    }

    pub(super) fn size(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Short(_) => 2,
            Self::Boolean | Self::Word(_) => 4,
            Self::Long(_) => 8,
        }
    }
}

impl Value {
    /// s
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// b
    pub fn flag(flag: bool) -> Self {
        Self::Fixed(Basic::Boolean, flag.into())
    }

    /// u
    pub fn word(number: u32) -> Self {
        Self::Fixed(Basic::Word('u'), number.into())
    }

    /// t
    pub fn long(number: u64) -> Self {
        Self::Fixed(Basic::Long('t'), number)
    }

    /// ay
    pub fn bytes(bytes: &[u8]) -> Self {
        let byte = |b: &u8| Self::Fixed(Basic::Byte, (*b).into());
        Self::Array("y".into(), bytes.iter().map(byte).collect())
    }

    /// v
    pub fn variant(self) -> Self {
        Self::Variant(Box::new(self))
    }

    /// What a text, a path or a variant of one says.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Path(text) => Some(text),
            Self::Variant(inner) => inner.as_text(),
            _ => None,
        }
    }

    /// Its type.
    pub fn signature(&self) -> String {
        match self {
            Self::Fixed(basic, _) => basic.letter().into(),
            Self::Text(_) => "s".into(),
            Self::Path(_) => "o".into(),
            Self::Signature(_) => "g".into(),
            Self::Array(of, _) => format!("a{of}"),
            Self::Struct(parts) => {
                let inner: String = parts.iter().map(Self::signature).collect();
                format!("({inner})")
            }
            Self::Variant(_) => "v".into(),
        }
    }

    /// Appends it to `out`, which begins at an offset that is a multiple of eight.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Fixed(basic, bits) => {
                pad(out, basic.size());
                out.extend_from_slice(&bits.to_le_bytes()[..basic.size()]);
            }
            Self::Text(text) | Self::Path(text) => {
                pad(out, 4);
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
                out.push(0);
            }
            Self::Signature(text) => signature(out, text),
            Self::Array(of, items) => {
                pad(out, 4);
                let length_at = out.len();
                out.extend_from_slice(&[0; 4]);
                // Padding in front of the first element is there without one, too, and not counted.
                pad(out, alignment(of.chars().next().unwrap_or('y')));
                let begin = out.len();
                items.iter().for_each(|item| item.write(out));
                let length = ((out.len() - begin) as u32).to_le_bytes();
                out[length_at..length_at + 4].copy_from_slice(&length);
            }
            Self::Struct(parts) => {
                pad(out, 8);
                parts.iter().for_each(|part| part.write(out));
            }
            Self::Variant(inner) => {
                signature(out, &inner.signature());
                inner.write(out);
            }
        }
    }
}

fn signature(out: &mut Vec<u8>, text: &str) {
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

pub(super) fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

pub(super) fn alignment(letter: char) -> usize {
    match (Basic::of(letter), letter) {
        (Some(basic), _) => basic.size(),
        (None, 's' | 'o' | 'a') => 4,
        (None, '(' | '{') => 8,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
