//! As much of HTTP/1.1 as a POST needs: the head of a request, and an answer from whatever a server sends.
//!
//! Pure. An answer is bounded in every way; what is not understood is an error. Used by `otlp`.

use super::trouble::Trouble;
use std::time::Duration;

/// Longest head of an answer.
const HEAD: usize = 16 * 1024;
/// Longest body of an answer; of a longer one the rest is not kept, and the connection ends after it.
const BODY: usize = 64 * 1024;

/// Appends the head of a POST.
pub fn post(out: &mut Vec<u8>, host: &str, path: &str, length: usize) {
    let version = env!("CARGO_PKG_VERSION");
    out.extend_from_slice(
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: cofferdam/{version}\r\n\
             Content-Type: application/x-protobuf\r\nContent-Length: {length}\r\n\r\n"
        )
        .as_bytes(),
    );
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 200 and so on.
    pub status: u16,
    /// Without chunks' frames.
    pub body: Vec<u8>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// It will close the connection.
    pub closes: bool,
    /// How many bytes it took.
    pub length: usize,
}

/// How a body ends.
enum Body {
    Counted(usize),
    Chunked,
    UntilClose,
}

/// The answer at the front; none if more has to arrive. `ended`: nothing more will.
pub fn response(bytes: &[u8], ended: bool) -> Result<Option<Response>, Trouble> {
    let wrong = |what: &str| Trouble::protocol(format!("the collector's HTTP answer {what}"));
    let Some(head_end) = find(bytes, b"\r\n\r\n") else {
        return match bytes.len() > HEAD || ended {
            true => Err(wrong("has no end of its head")),
            false => Ok(None),
        };
    };
    let head = std::str::from_utf8(&bytes[..head_end]).map_err(|_| wrong("is not text"))?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status(status_line).ok_or_else(|| wrong("has no status"))?;
    let mut response = Response {
        status,
        body: Vec::new(),
        retry_after: None,
        closes: status_line.starts_with("HTTP/1.0"),
        length: head_end + 4,
    };
    if (100..200).contains(&status) {
        return Err(wrong("is provisional, which was not asked for"));
    }
    let body = headers(lines, &mut response).map_err(wrong)?;
    let rest = &bytes[head_end + 4..];
    let taken = match body {
        Body::Counted(length) if length > BODY => return Err(wrong("is too long")),
        Body::Counted(length) => rest.get(..length).map(|body| (body.to_vec(), length)),
        Body::Chunked => chunks(rest).map_err(wrong)?,
        Body::UntilClose => ended.then(|| (rest.to_vec(), rest.len())),
    };
    match taken {
        Some((body, length)) => {
            response.body = body;
            response.length += length;
            Ok(Some(response))
        }
        None if ended => Err(wrong("breaks off")),
        None if rest.len() > BODY + HEAD => Err(wrong("is too long")),
        None => Ok(None),
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}

fn status(line: &str) -> Option<u16> {
    let rest = line
        .strip_prefix("HTTP/1.1 ")
        .or(line.strip_prefix("HTTP/1.0 "))?;
    let digits = rest.get(..3)?;
    let whole = rest.len() == 3 || rest.as_bytes()[3] == b' ';
    let status = digits.parse().ok().filter(|s| *s >= 100)?;
    whole.then_some(status)
}

fn headers<'a>(
    lines: impl Iterator<Item = &'a str>,
    response: &mut Response,
) -> Result<Body, &'static str> {
    let (mut length, mut chunked) = (None, false);
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("has a line that is no header")?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                let value = digits.then(|| value.parse::<usize>().ok()).flatten();
                let value = value.ok_or("has a length that is none")?;
                if length.is_some_and(|other| other != value) {
                    return Err("has two lengths");
                }
                length = Some(value);
            }
            "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => chunked = true,
            "transfer-encoding" => return Err("is encoded in a way that is not known"),
            "connection" => response.closes |= value.eq_ignore_ascii_case("close"),
            // The form with a date is as good as none: back-off goes on.
            "retry-after" => response.retry_after = value.parse().ok().map(Duration::from_secs),
            _ => {}
        }
    }
    Ok(match (chunked, length) {
        (true, Some(_)) => return Err("has a length and is chunked"),
        (true, None) => Body::Chunked,
        (false, Some(length)) => Body::Counted(length),
        (false, None) if matches!(response.status, 204 | 304) => Body::Counted(0),
        (false, None) => {
            response.closes = true;
            Body::UntilClose
        }
    })
}

type Chunks = Option<(Vec<u8>, usize)>;

fn chunks(bytes: &[u8]) -> Result<Chunks, &'static str> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = &bytes[at..];
        let Some(line_end) = find(&rest[..rest.len().min(256)], b"\r\n") else {
            return match rest.len() > 254 {
                true => Err("has a chunk without a length"),
                false => Ok(None),
            };
        };
        let line = std::str::from_utf8(&rest[..line_end]).map_err(|_| "is not text")?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let length = hex
            .then(|| usize::from_str_radix(digits, 16).ok())
            .flatten();
        let length = length.ok_or("has a chunk without a length")?;
        if length > BODY || body.len() + length > BODY {
            return Err("is too long");
        }
        at += line_end + 2;
        let Some(data) = bytes.get(at..at + length + 2) else {
            return Ok(None);
        };
        // Trailers are not understood; an answer that has them is not one of ours.
        if data[length..] != *b"\r\n" {
            return Err("has a chunk that ends elsewhere");
        }
        body.extend_from_slice(&data[..length]);
        at += length + 2;
        if length == 0 {
            return Ok(Some((body, at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_of_each_sort() {
        let counted = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabcHTTP/1.1";
        let got = response(counted, false).unwrap().unwrap();
        assert_eq!(
            (got.status, &got.body[..], got.closes),
            (200, &b"abc"[..], false)
        );
        assert_eq!(&counted[got.length..], b"HTTP/1.1");
        let chunked = b"HTTP/1.1 503 x\r\ntransfer-encoding: chunked\r\nretry-after: 7\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        let got = response(chunked, false).unwrap().unwrap();
        assert_eq!(
            (got.status, &got.body[..], got.length),
            (503, &b"abc"[..], chunked.len())
        );
        assert_eq!(got.retry_after, Some(Duration::from_secs(7)));
        for cut in 0..chunked.len() {
            assert_eq!(response(&chunked[..cut], false).unwrap(), None, "{cut}");
            assert!(response(&chunked[..cut], true).is_err(), "{cut}");
        }
        let open = b"HTTP/1.0 200 OK\r\n\r\nrest";
        assert_eq!(response(open, false).unwrap(), None);
        let got = response(open, true).unwrap().unwrap();
        assert!(got.closes && got.body == b"rest");
        let empty = b"HTTP/1.1 204 No\r\n\r\n";
        assert_eq!(response(empty, false).unwrap().unwrap().length, empty.len());
        for wrong in [
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
            "HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        ] {
            assert!(response(wrong.as_bytes(), false).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), ended in any::<bool>()) {
            let _ = response(&bytes, ended);
            let mut tail = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            tail.extend(bytes);
            let _ = response(&tail, ended);
        }
    }
}
